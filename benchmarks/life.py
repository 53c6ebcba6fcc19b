"""The life of an edit in Redis, step by step, by the product's own scripts; `count` tells what each step cost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis

from benchmarks.spent import spent
from edits.db.acceptance import Accepted
from edits.db.admission import Caps
from edits.db.claims import Claim
from edits.db.outcomes import Outcomes
from edits.db.repository import EditRepository
from edits.db.schedule import Schedule
from edits.models import Edit, EditInput, EditResult, Step, new_id

SNOOZES: Final = 4
TOGETHER: Final = 50  # calls on their way at once, as of a busy worker
LEASE: Final = timedelta(minutes=10)
ROOM: Final = Caps(max_queued=1_000_000)
HASH: Final = "a" * 64
"""Of pictures that nobody ever sees."""


@dataclass
class World:
    client: Redis
    edits: int
    at_once: int
    count: Callable[[Redis], Awaitable[Mapping[str, float]]] = spent
    snoozes: int = SNOOZES
    found: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.repository = EditRepository(self.client, namespace="bench")
        self.schedule = Schedule(self.repository.scripts, 1e6, 1e6, 1_000_000)
        self.outcomes = Outcomes(self.repository.scripts)

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        before = await self.count(self.client)
        yield
        after = await self.count(self.client)
        self.found[name] = {what: (after[what] - before[what]) / self.edits for what in after}

    async def each(self, calls: list[Callable[[], Awaitable[Any]]]) -> list[Any]:
        answers = []
        for start in range(0, len(calls), self.at_once):
            answers += await asyncio.gather(*[call() for call in calls[start : start + self.at_once]])
        return answers

    async def decided(self, calls: list[Callable[[], Awaitable[Any]]]) -> None:
        if not all(await self.each(calls)):
            raise RuntimeError("a decision did not count: what was measured is not the life of an edit")

    async def claims(self, step: Step | None, *, with_input: bool = True) -> list[Claim]:
        found: list[Claim] = []
        while len(found) < self.edits:
            if step is None:
                got = await self.schedule.claim_submit(TOGETHER, lease=LEASE)
            else:
                got = await self.schedule.claim_due(step, TOGETHER, lease=LEASE, wakes=step, with_input=with_input)
            found += got.claims
            await asyncio.sleep(0 if got.claims else got.next)
        return found


async def live(world: World) -> None:
    """So many edits go through each step together; the scripts have run before."""
    fresh = [new_edit() for _ in range(world.edits)]
    async with world.step("accept"):
        await world.each([partial(_accept, world, edit) for edit in fresh])
    await _bought(world)
    await _read(world)
    await _stored(world)


async def _accept(world: World, edit: Edit) -> Accepted:
    return await world.repository.accept(edit, idempotency=None, max_queued=ROOM.max_queued)


async def _bought(world: World) -> None:
    async with world.step("claim to submit"):
        claims = await world.claims(None)
    async with world.step("bought"):
        await world.decided([
            partial(world.outcomes.bought, claim.id, attempt=1, task_id=f"task-{claim.id}", how="answer")
            for claim in claims
        ])  # fmt: skip


async def _read(world: World) -> None:
    outcomes, began = world.outcomes, datetime.now(UTC)
    for number in range(world.snoozes + 1):
        async with world.step(f"claim to read {number}"):
            claims = await world.claims(Step.POLL, with_input=False)
        if number == world.snoozes:
            break
        look = partial(
            outcomes.snooze,
            delay=0,
            looked=True,
            task_status="processing" if number else "pending",
            started_at=began if number else None,
        )
        async with world.step(f"snooze {number}"):
            await world.decided([partial(look, claim) for claim in claims])
    async with world.step("completed"):
        await world.decided([
            partial(
                outcomes.completed, claim, address="https://img.example/result.png", started_at=began, ended_at=began,
                units=200_000,
            )
            for claim in claims
        ])  # fmt: skip


async def _stored(world: World) -> None:
    async with world.step("claim to store"):
        claims = await world.claims(Step.STORE)
    at = round(time.time() * 1000)
    results = [
        EditResult(key=f"{claim.id}/result.png", content_type="image/png", bytes=1, sha256=HASH, width=8, height=8)
        for claim in claims
    ]
    async with world.step("succeed"):
        await world.decided([
            partial(world.outcomes.succeed, claim, result, at=at, extension="png")
            for claim, result in zip(claims, results, strict=True)
        ])  # fmt: skip


def new_edit() -> Edit:
    now = datetime.now(UTC)
    asked = EditInput(prompt="make it night " * 10, image="https://img.example/1.png", seed=7, width=1024, height=768)
    return Edit(id=new_id(), tenant="default", livemode=False, input=asked, created_at=now, updated_at=now)
