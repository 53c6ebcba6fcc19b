"""The repository and scripts as workers and API use them, with a clock that tests move and checks of all keys."""

import asyncio
import contextlib
import itertools
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from config.settings import load
from edits.ceilings import Ceilings
from edits.db.acceptance import Accepted, Idempotency
from edits.db.admission import Caps
from edits.db.circuits import Limiter
from edits.db.claims import Claim, Claimer, Claims
from edits.db.connection import connect
from edits.db.constants import UNSEEN
from edits.db.outcomes import Outcomes
from edits.db.repository import EditRepository
from edits.db.scripts import Argument, Script, T
from edits.db.sender import Scripts
from edits.db.tokens import RequestTokens
from edits.db.workers import WorkerRegistry
from edits.invariants import check
from edits.invariants.facts import moment as moment_of
from edits.models import CostState, Edit, ErrorKind, Step, Wait
from tests.factories import make_edit, make_error, make_result
from tests.integration.edits.dump import Dump, dump
from tests.integration.edits.watch import Watch
from tests.parts.patience import LONG

ON_ONE_ENGINE: Final = pytest.mark.parametrize("engine_port", ["valkey_port"], indirect=True)
"""For long tests of computations: other tests run each script on both engines."""

LEASE: Final = timedelta(seconds=40)
PRICE: Final = 200_000
ADDRESS: Final = "https://img.theapi.app/result.png"
QUICK: Final = 1.0
"""Socket timeout in seconds where a test withholds replies."""
NOT_HELD: Final = {"horizon", "overdue", "bought_once", "in_flight"}
"""Rules that tests may break: they set the clock, buy several tasks an edit, and choose ceilings."""
LONG_AGO: Final = 365 * 86_400_000
"""Milliseconds."""
_numbers = itertools.count(1)


@contextlib.asynccontextmanager
async def connected(port: int, *, socket_timeout: float = LONG) -> AsyncIterator[Redis]:
    redis = connect(f"redis://127.0.0.1:{port}/0", socket_timeout=socket_timeout)
    try:
        yield redis
    finally:
        await redis.aclose()


def raw(name: str, *, many: bool = False) -> Script[Any]:
    """A script with its raw reply, for calls that no method of the product makes."""
    return Script(name, lambda reply: reply, many=many)


class WatchedScripts(Scripts):
    """The scripts; a `Watch` checks all edits after each reply."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        super().__init__(redis, namespace)
        self.watch = Watch()
        self.watching = True
        self._keys = (redis, namespace)

    async def run(self, script: Script[T], /, **arguments: Argument) -> T:
        answer = await super().run(script, **arguments)
        await self.look(script.name)
        return answer

    async def look(self, name: str) -> None:
        if self.watching and name not in {"read", "page", "tokens", "room"}:
            await self.watch.look(*self._keys)


@dataclass
class Worker:
    """One worker process: its calls of scripts."""

    registry: WorkerRegistry
    claims: Claimer
    tokens: RequestTokens

    @classmethod
    def of(cls, scripts: Scripts, ceilings: Ceilings) -> "Worker":
        registry = WorkerRegistry(scripts, ceilings)
        return cls(registry, Claimer(scripts, registry), RequestTokens(scripts, ceilings))


@dataclass
class Core:
    redis: Redis
    namespace: str
    scripts: WatchedScripts = field(init=False)
    offset: int = 0
    damaged: bool = False
    """Set by a test that breaks the data: the check at the end is omitted."""

    def __post_init__(self) -> None:
        self.use(WatchedScripts(self.redis, self.namespace))

    def use(self, scripts: WatchedScripts) -> None:
        self.scripts = scripts
        self.repository = EditRepository(self.redis, namespace=self.namespace, scripts=self.scripts)
        self.outcomes = Outcomes(self.scripts)
        self.limiter = Limiter(self.scripts)
        self.process = self.worker()

    def worker(self, *, creates: float = 1000, reads: float = 1000, in_flight: int = 1000) -> "Worker":
        """Another worker process, with these ceilings."""
        return Worker.of(self.scripts, Ceilings(creates, reads, in_flight))

    async def freeze(self) -> None:
        """Stops the clock; only `pass_time` moves it. The last clock reading is set long ago, so no call reads it."""
        self.scripts._clock._next = math.inf
        moment = await self.now() - self.offset
        await self.redis.set(self.key("tick"), f"{moment - LONG_AGO} {LONG_AGO - UNSEEN}")

    async def thaw(self) -> None:
        """Starts the clock again."""
        self.scripts._clock._next = 0.0
        await self.redis.delete(self.key("tick"))

    async def hold(self) -> None:
        """Runs the product's consistency check on all keys."""
        report = await check(self.redis, load({"RETOUCH_NAMESPACE": self.namespace}, dotenv=None), patience=0)
        assert {result.rule for result in report.broken} <= NOT_HELD, str(report)

    async def pass_time(self, seconds: float) -> None:
        """Moves the clock; back, if negative."""
        self.offset += round(seconds * 1000)
        await self.redis.set(self.key("clock"), self.offset)

    async def jump(self, seconds: float) -> None:
        """Simulates a jump of the server's clock, by this many seconds since its last reading, to its present time."""
        by = round(seconds * 1000)
        await self.redis.set(self.key("tick"), f"{await self.now() - self.offset - by} {by}")

    async def now(self) -> int:
        """Milliseconds since 1970, by the clock of the scripts, without jumps."""
        if self.scripts._clock._next == math.inf:
            return await moment_of(self.redis, self.namespace)
        seconds, microseconds = await self.redis.time()
        return int(seconds * 1000 + microseconds // 1000 + self.offset)

    def key(self, *parts: str) -> str:
        return ":".join([self.namespace, *parts])

    async def dump(self) -> Dump:
        return await dump(self.redis, self.namespace)

    async def record(self, edit_id: str) -> dict[str, str]:
        return _texts(await self.redis.hgetall(self.key("e", edit_id)))

    async def long_texts(self, edit_id: str) -> dict[str, str]:
        return _texts(await self.redis.hgetall(self.key("x", edit_id)))

    async def due_in(self, step: str, edit_id: str) -> float | None:
        """Seconds until the edit is due; None if it is not in that set."""
        score = await self.redis.zscore(self.key("due", step), edit_id)
        return None if score is None else (score - await self.now()) / 1000

    async def abandoned(self) -> list[str]:
        return [str(task) for task in await self.redis.zrange(self.key("abandoned"), 0, -1)]

    async def counter(self, name: str) -> int:
        return int(await self.redis.hget(self.key("stats"), name) or 0)

    async def events(self, edit_id: str) -> list[str]:
        return [event.type for event in await self.repository.timeline(edit_id) or []]

    async def edit(self, edit_id: str) -> Edit:
        edit = await self.repository.get(edit_id)
        assert edit is not None
        return edit

    # Steps of an edit

    async def accept(self, *, key: Idempotency | None = None, max_queued: int = 1000, **changes: Any) -> Accepted:
        caps = {name: changes.pop(name) for name in ("max_of_tenant", "no_memory") if name in changes}
        edit = make_edit(**changes)
        return await self.repository.accept(edit, key, Caps(max_queued, **caps))

    async def queued(self, **changes: Any) -> str:
        return (await self.accept(**changes)).edit.id

    async def claim_submit(self, most: int = 1, *, lease: timedelta = LEASE) -> list[Claim]:
        return (await self.process.claims.submit(most, lease=lease)).claims

    async def claims(
        self, step: str, most: int = 10, *, lease: timedelta = LEASE, of: "Worker | None" = None
    ) -> Claims:
        """Claims of this worker, or of another one."""
        wakes = Step.SWEEP if step == "manifest" else Step(step)
        return await (of or self.process).claims.due(step, most, lease=lease, wakes=wakes, with_input=True)

    async def claim(self, step: str) -> Claim:
        """Claims the one due edit of a step."""
        (claim,) = (await self.claims(step)).claims
        return claim

    async def submitting(self, **changes: Any) -> Claim:
        await self.queued(**changes)
        (claim,) = await self.claim_submit()
        return claim

    async def bought(self, claim: Claim, task_id: str | None = None, **changes: Any) -> str:
        given: dict[str, Any] = {
            "attempt": claim.attempt,
            "units": PRICE,
            "status": "pending",
            "first_look": 0.0,
            "how": "answer",
        }
        return await self.outcomes.bought(claim.id, **given | changes, task_id=task_id or f"task-{next(_numbers)}")

    async def processing(self, **changes: Any) -> Claim:
        """A claim of step poll: an edit whose task runs."""
        assert await self.bought(await self.submitting(**changes)) == "taken_over"
        return await self.claim("poll")

    async def complete(self, claim: Claim, **changes: Any) -> bool:
        given: dict[str, Any] = {"address": ADDRESS, "started_at": None, "ended_at": None, "units": PRICE}
        return await self.outcomes.completed(claim, **given | changes)

    async def storing(self, **changes: Any) -> Claim:
        assert await self.complete(await self.processing(**changes))
        return await self.claim("store")

    async def succeed(self, claim: Claim) -> bool:
        result = make_result(claim.id, attempt=claim.attempt)
        return await self.outcomes.succeed(claim, result, at=await self.now(), extension="png")

    async def adopting(self, **changes: Any) -> Claim:
        """A claim of step adopt: an edit whose create had no response."""
        assert await self.outcomes.lost(await self.submitting(**changes), cause="AnswerLost", delay=0)
        return await self.claim("adopt")

    async def fail(
        self, claim: Claim, kind: ErrorKind = ErrorKind.INTERNAL, *, cost: CostState = CostState.CHARGED, **given: Any
    ) -> bool:
        return await self.outcomes.fail(claim, make_error(kind), cost=cost, **given)

    async def release(self, claim: Claim, *, why: str = "throttled", wait: Wait = Wait.COOLDOWN) -> bool:
        return await self.outcomes.release(claim, why=why, wait=wait)


def _texts(fields: Mapping[Any, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in fields.items()}


async def fill(core: Core, edits: int) -> None:
    await asyncio.gather(*[core.queued() for _ in range(edits)])


async def slots(worker: "Worker", most: int = 100) -> list[float]:
    """Send slots of the claimed creates, in seconds from now."""
    return [claim.slot for claim in (await worker.claims.submit(most, lease=LEASE)).claims]


def moment(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
