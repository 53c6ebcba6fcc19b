"""Question: what does an edit cost Redis over its life? Beside it: thousands that are taken in at once.

On an embedded Valkey as `retouch up` starts it (appendfsync always). CPU is that of its main thread: other programs on
the machine stretch times, not that. Commands are those that scripts call; trips are reads of its socket.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from redis.asyncio import Redis

from benchmarks.rounds import goal, summed
from benchmarks.spent import server, spent
from edits.ceilings import Ceilings
from edits.db.acceptance import Accepted
from edits.db.admission import Caps
from edits.db.claims import Claim, Claimer
from edits.db.outcomes import Outcomes
from edits.db.repository import EditRepository
from edits.db.workers import WorkerRegistry
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
    found: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.repository = EditRepository(self.client, namespace="bench")
        registry = WorkerRegistry(self.repository.scripts, Ceilings(1e6, 1e6, 1_000_000))
        self.claiming = Claimer(self.repository.scripts, registry)
        self.outcomes = Outcomes(self.repository.scripts)

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        before = await spent(self.client)
        yield
        after = await spent(self.client)
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
                got = await self.claiming.submit(TOGETHER, lease=LEASE)
            else:
                got = await self.claiming.due(step, TOGETHER, lease=LEASE, wakes=step, with_input=with_input)
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
    return await world.repository.accept(edit, None, ROOM)


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
    for number in range(SNOOZES + 1):
        async with world.step(f"claim to read {number}"):
            claims = await world.claims(Step.POLL, with_input=False)
        if number == SNOOZES:
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


def measure(*, full: bool = False) -> dict[str, Any]:
    edits, rounds, bulk = (1000, 5, 20_000) if full else (100, 3, 10_000)
    lives: dict[str, list[dict[str, dict[str, float]]]] = {"alone": [], "together": []}
    many: dict[str, list[dict[str, float]]] = {"always": [], "everysec": []}
    for _ in range(rounds):
        for way, found in lives.items():
            found.append(asyncio.run(_life(edits, at_once=TOGETHER if way == "together" else 1)))
        for fsync, taken in many.items():
            taken.append(asyncio.run(_bulk(bulk, fsync)))
    taken_in = {fsync: summed(found) for fsync, found in many.items()}
    spreads = {way: {step: summed([life[step] for life in found]) for step in found[0]} for way, found in lives.items()}
    return {
        "edits": edits, "rounds": rounds, "snoozes": SNOOZES, "bulk": bulk, "lives": spreads, "many": taken_in,
        "goals": [
            goal("edits a second by accept_many ≥ 20,000", taken_in["always"]["edits/s"]["median"], least=20_000),
            goal("Redis held by a chunk, at most: ms ≤ 10", taken_in["always"]["held, ms at most"]["median"], most=10),
        ],
    }  # fmt: skip


async def _life(edits: int, *, at_once: int) -> dict[str, dict[str, float]]:
    async with server() as client:
        world = World(client, edits, at_once)
        await world.repository.accept_many([(new_edit(), None)], ROOM)  # loads the scripts
        await world.claiming.submit(1, lease=LEASE)
        await live(world)
        return world.found


async def _bulk(edits: int, fsync: str) -> dict[str, float]:
    async with server(fsync) as client:
        repository = EditRepository(client, namespace="bench")
        await repository.accept_many([(new_edit(), None)], ROOM)
        await client.config_set("latency-tracking-info-percentiles", "50 99 100")
        asked = [(new_edit(), None) for _ in range(edits)]
        await client.config_resetstat()
        before, began = await spent(client), time.perf_counter()
        taken = await repository.accept_many(asked, ROOM)
        took = time.perf_counter() - began
        after = await spent(client)
        held = (await client.info("latencystats"))["latency_percentiles_usec_evalsha"]
        if not all(isinstance(one, Accepted) for one in taken):
            raise RuntimeError("not every edit was taken")
    return {
        "edits/s": edits / took,
        "edits/s of Redis' CPU": edits / (after["cpu"] - before["cpu"]) * 1e6,
        "commands": (after["commands"] - before["commands"]) / edits,
        "held, ms p50": held["p50"] / 1000,
        "held, ms p99": held["p99"] / 1000,
        "held, ms at most": held["p100"] / 1000,
        "log bytes": (after["log"] - before["log"]) / edits,
        "memory bytes": (after["memory"] - before["memory"]) / edits,
    }


def _life_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    alone, together = found["lives"]["alone"], found["lives"]["together"]
    rows = [
        {
            "step": step, "CPU alone, µs": alone[step]["cpu"]["median"], "together, µs": row["cpu"]["median"],
            "calls": row["calls"]["median"], "commands": row["commands"]["median"],
            "trips alone": alone[step]["trips"]["median"], "together": row["trips"]["median"],
            "bytes in": row["bytes in"]["median"], "bytes out": row["bytes out"]["median"],
            "log bytes": row["log"]["median"],
        }
        for step, row in together.items()
    ]  # fmt: skip
    whole = {name: sum(row[name] for row in rows) for name in rows[0] if name != "step"}
    return [*rows, {"step": "whole life", **whole}]


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield (
        f"An edit with {found['snoozes']} snoozes in Redis; alone: call by call, together: {TOGETHER} at once; medians",
        _life_rows(found),
    )
    yield (
        f"{found['bulk']:,} edits by accept_many",
        [
            {"appendfsync": fsync, **{name: value["median"] for name, value in row.items()}}
            for fsync, row in found["many"].items()
        ],
    )
    yield "Goals", found["goals"]
