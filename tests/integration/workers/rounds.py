"""Runs the steps by hand, one round at a time, and reads an edit's place and due time.

No test sleeps: `wait` moves the clocks of Redis and the sandbox together.
"""

import asyncio
import base64
import io
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from PIL import Image

from edits.db.admission import Caps
from edits.db.claims import Claim, Claims
from edits.invariants import check
from edits.models import Edit, EditInput, EditStatus, Priority, Step, new_id
from edits.storage import layout
from tests.parts.sandbox import Sandbox
from workers.chains import steps_of
from workers.clients import Clients
from workers.lease import Lease
from workers.steps.work import StepWork

STEP_OF = {"queue": Step.SUBMIT, "submit": Step.ADOPT, "adopt": Step.ADOPT, "poll": Step.POLL, "store": Step.STORE}
"""The step that handles an edit in this place; adopt handles a submit without a response."""


def picture(size: tuple[int, int] = (48, 32), kind: str = "PNG") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, "#3a7ad0").save(written, kind)
    return written.getvalue()


IMAGE = "data:image/png;base64," + base64.b64encode(picture()).decode()


async def until(condition: Callable[[], bool | Awaitable[bool]], *, within: float = 90) -> None:
    """Polls the condition for at most `within` seconds."""
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not so within {within} s")


class Place(NamedTuple):
    name: str
    due: float
    """Seconds from now; in the queue since arrival, for ended edits since their end."""
    after: float
    """Seconds from the last change of the edit, which excludes the run time of the test."""


@dataclass
class Rounds:
    clients: Clients
    sandbox: Sandbox
    work: dict[Step, StepWork] = field(init=False)
    not_held: set[str] = field(default_factory=lambda: {"horizon", "overdue", "in_flight"})
    """Rules: tests move the clock, and leave edits where they stand. A test adds what it breaks."""

    def __post_init__(self) -> None:
        # Jitter 0.5 leaves every delay as its table says. No send slot expires, however slow the machine.
        self.clients = replace(self.clients, jitter=lambda: 0.5, slot_good_for=float("inf"))
        # One call at a time shares its batch with none, and would wait for it nearly all of the time.
        self.clients.repository.scripts._gap = 0.0
        self.work = steps_of(self.clients)

    @property
    def redis(self) -> Any:
        return self.clients.repository.redis

    def key(self, *parts: str) -> str:
        return ":".join([self.clients.settings.namespace, *parts])

    async def hold(self) -> None:
        """The product's own check of everything that is here: above all, that what was bought was to be bought."""
        report = await check(self.redis, self.clients.settings, patience=0)
        assert {result.rule for result in report.broken} <= self.not_held, str(report)

    async def accept(
        self,
        prompt: str = "make the sky stormy",
        *,
        expires_in: float | None = None,
        priority: Priority = Priority.STANDARD,
        **asked: Any,
    ) -> str:
        """Queues a new edit; returns its id."""
        edit_id = new_id()
        if asked.get("upload"):
            asked.setdefault("image", None)
        given = {"image": IMAGE, "seed": 7, "width": 256, "height": 192} | asked
        now = datetime.now(UTC)
        edit = Edit(
            id=edit_id,
            tenant="default",
            livemode=False,
            input=EditInput(prompt=prompt, **given),
            created_at=now,
            updated_at=now,
            expires_at=now + timedelta(seconds=expires_in) if expires_in else None,
            priority=priority,
        )
        await self.clients.repository.accept(edit, None, Caps(1000))
        return edit_id

    async def claim(self, step: Step, most: int = 10) -> tuple[Claims, Lease]:
        work = self.work[step]
        lease = Lease.starting(work.lease, margin=self.clients.settings.leases.margin)
        return await work.claim(most), lease

    async def claim_one(self, step: Step) -> tuple[Claim, Lease]:
        claims, lease = await self.claim(step, 1)
        (claim,) = claims.claims
        return claim, lease

    async def run(self, step: Step) -> list[str]:
        """One round: claims all due edits and works on them. Returns their ids."""
        claims, lease = await self.claim(step)
        for claim in claims.claims:
            await self.work[step].work(claim, lease)
        return [claim.id for claim in claims.claims]

    async def go_on(self, edit_id: str) -> Edit:
        """Moves time to the edit's due time and runs its step once."""
        place = await self.place(edit_id)
        if place.name != "queue" and place.due > 0:
            await self.wait(place.due + 0.01)
        step = STEP_OF[place.name]
        claims, lease = await self.claim(step)
        for claim in claims.claims:
            await self.work[step].work(claim, lease)
        if not claims.claims:
            await self.wait(max(claims.next, 0.05))
        return await self.edit(edit_id)

    async def finish(self, edit_id: str, *, rounds: int = 60) -> Edit:
        """The edit when it has ended, or after this many rounds."""
        for _ in range(rounds):
            edit = await self.edit(edit_id)
            if edit.status.is_final:
                break
            await self.go_on(edit_id)
        return await self.edit(edit_id)

    async def reach(self, edit_id: str, status: EditStatus, *, rounds: int = 60) -> Edit:
        for _ in range(rounds):
            edit = await self.edit(edit_id)
            if edit.status is status:
                return edit
            await self.go_on(edit_id)
        raise AssertionError(f"never {status}: {edit}")

    async def wait(self, seconds: float) -> None:
        """Moves the clocks of Redis and the sandbox by this many seconds."""
        self.sandbox.advance(seconds)
        await self.redis.incrby(self.key("clock"), round(seconds * 1000))

    async def now(self) -> float:
        return _reckoned(await self.redis.time(), await self.redis.get(self.key("clock")))

    async def edit(self, edit_id: str) -> Edit:
        edit = await self.clients.repository.get(edit_id)
        assert edit is not None
        return edit

    async def fields(self, edit_id: str) -> Mapping[str, str]:
        found: Mapping[str, str] = await self.redis.hgetall(self.key("e", edit_id))
        return found

    async def texts(self, edit_id: str) -> Mapping[str, str]:
        found: Mapping[str, str] = await self.redis.hgetall(self.key("x", edit_id))
        return found

    async def place(self, edit_id: str) -> Place:
        """The edit's place. Fails if it is in several, or in another than its record names."""
        sets = {"queue": self.key("q", "default"), "final": self.key("retention")}
        sets |= {name: self.key("due", name) for name in ("submit", "adopt", "poll", "store")}
        async with self.redis.pipeline() as asking:  # each round begins here: one answer, not nine
            for key in sets.values():
                asking.zscore(key, edit_id)
            asking.hgetall(self.key("e", edit_id)).time().get(self.key("clock"))
            *scores, record, time_there, ahead = await asking.execute()
        places = {name: score for name, score in zip(sets, scores, strict=True) if score is not None}
        assert list(places) == [record["pl"]], places
        ((name, score),) = places.items()
        return Place(name, score / 1000 - _reckoned(time_there, ahead), (score - int(record["up"])) / 1000)

    async def abandoned(self) -> list[str]:
        found: list[str] = await self.redis.zrange(self.key("abandoned"), 0, -1)
        return found

    async def limit(self, name: str) -> Mapping[str, str]:
        found: Mapping[str, str] = await self.redis.hgetall(self.key("limit", name))
        return found

    async def events(self, edit_id: str) -> list[str]:
        return [event.type for event in await self.clients.claims.timeline(edit_id)]

    async def waits(self, edit_id: str) -> list[str | None]:
        """Waits of the timeline, without its first event, which has none."""
        return [event.wait and str(event.wait) for event in (await self.clients.claims.timeline(edit_id))[1:]]

    def bought(self) -> int:
        count: int = self.sandbox.ledger()["tasks_bought"]
        return count

    async def files(self, edit_id: str) -> list[str]:
        """The names of all objects in the edit's folder."""
        folder = layout.edit_folder(edit_id)
        found = [info.key async for info in self.clients.storage.list(folder)]
        return sorted(key.removeprefix(f"{folder}/") for key in found)


def _reckoned(time_there: tuple[int, int], ahead: str | None) -> float:
    """Seconds since 1970, from TIME and by how many milliseconds a test has moved the clock ahead."""
    seconds, micros = time_there
    return float(seconds + micros / 1e6 + int(ahead or 0) / 1000)
