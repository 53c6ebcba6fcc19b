"""Question: what do many edits in flight need, and what does an edit cost among them? Memory and time, up to 100,000.

Edits are put in flight by the product's own scripts, with task ids that no provider gave. Then a real worker reads
their tasks, so many a second however many there are; the stand-in shows each as one that runs.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from redis.asyncio import Redis

from benchmarks.provider import Provider
from benchmarks.rounds import goal, say
from benchmarks.spent import spent
from benchmarks.system import NAMESPACE, System, running
from benchmarks.used import used_by
from cli.local.ports import Ports
from cli.local.stack import Environment
from cli.local.supervisor import Supervisor
from edits.ceilings import Ceilings
from edits.db.acceptance import Accepted, Idempotency
from edits.db.admission import Caps
from edits.db.claims import Claim, Claimer
from edits.db.outcomes import Outcomes
from edits.db.repository import EditRepository
from edits.db.sender import Scripts
from edits.db.workers import WorkerRegistry
from edits.errors import AcceptUnknown, Unavailable
from edits.models import Edit

AT_ONCE: Final = 500  # edits of which one script is called after the other
ACCEPTS_AT_ONCE: Final = 50
CLAIMED: Final = 64  # by one call: as many as a worker has permits to submit
LEASE: Final = timedelta(hours=1)
ROOM: Final = Caps(max_queued=10**7)


@dataclass
class Filler:
    """Puts edits in flight as the API and a worker would."""

    redis: Redis
    edit: Callable[[], Edit]
    _tasks: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        scripts = Scripts(self.redis, NAMESPACE)
        self.repository = EditRepository(self.redis, namespace=NAMESPACE, scripts=scripts)
        self.outcomes = Outcomes(scripts)
        self.claiming = Claimer(scripts, WorkerRegistry(scripts, Ceilings(1e6, 1e6, 10**7)))

    async def fill(self, number: int) -> None:
        """By the list, which is faster."""
        for at in range(0, number, AT_ONCE):
            some = min(AT_ONCE, number - at)
            edits = [(self.edit(), None) for _ in range(some)]
            if not all(isinstance(one, Accepted) for one in await self.repository.accept_many(edits, ROOM)):
                raise RuntimeError("not every edit was taken in")
            claims: list[Claim] = []
            await self._claim(some, claims)
            await self._bought(claims)
        await self._forget_answers()
        await self._settled()

    async def put(self, number: int, *, keyed: bool = False) -> None:
        """One by one, as the API accepts them."""
        for at in range(0, number, AT_ONCE):
            some = min(AT_ONCE, number - at)
            await self._accept(some, keyed=keyed)
            claims: list[Claim] = []
            await self._claim(some, claims)
            await self._bought(claims)
        await self._forget_answers()

    async def _accept(self, number: int, *, keyed: bool) -> None:
        edits = [self.edit() for _ in range(number)]
        for at in range(0, number, ACCEPTS_AT_ONCE):
            await asyncio.gather(*(self._accept_one(edit, keyed=keyed) for edit in edits[at : at + ACCEPTS_AT_ONCE]))

    async def _accept_one(self, edit: Edit, *, keyed: bool) -> None:
        """As often as it takes: a busy machine may answer later than the API waits, and the id makes it one edit."""
        key = Idempotency(key=str(UUID(int=next(self._tasks))), fingerprint="0" * 64) if keyed else None
        while True:
            try:
                await self.repository.accept(edit, key, Caps(10**7))
            except (AcceptUnknown, Unavailable):
                continue
            return

    async def _claim(self, number: int, claims: list[Claim]) -> None:
        while len(claims) < number:
            claims += (await self.claiming.submit(min(CLAIMED, number - len(claims)), lease=LEASE)).claims

    async def _bought(self, claims: Sequence[Claim]) -> None:
        bought = partial(self.outcomes.bought, attempt=1, how="answer")
        tasks = [str(UUID(int=next(self._tasks), version=4)) for _ in claims]
        await asyncio.gather(*(bought(claim.id, task_id=task) for claim, task in zip(claims, tasks, strict=True)))

    async def _settled(self) -> None:
        """Until a table that has grown has been moved into its new place: that is of the growth."""
        while True:
            told = await self.redis.info("memory")
            if not told.get("mem_overhead_db_hashtable_rehashing", 0):
                return
            await asyncio.sleep(0.1)

    async def _forget_answers(self) -> None:
        """Answers of claims are kept for 30 s: that is of the rate, and not of what is in flight."""
        keys = [key async for key in self.redis.scan_iter(match=f"{NAMESPACE}:claim:*", count=10_000)]
        for at in range(0, len(keys), 1000):
            await self.redis.unlink(*keys[at : at + 1000])


async def redis_cpu(redis: Redis) -> float:
    """Microseconds of CPU that Redis' main thread has spent; other programs stretch the time of a script, not that."""
    return (await spent(redis))["cpu"]


LEVELS: Final = (1_000, 10_000, 100_000)
READS_PER_SECOND: Final = 100.0
WARM: Final = 3.0  # seconds of reading that are not counted
KEYED: Final = 1_000  # edits with an idempotency key, put in flight before all others
MIB: Final = 1024 * 1024
FLAT: Final = 1.25  # times the cost of the first level, at most
SHAPE: Final = "200-character prompt, picture by address, no idempotency key"

Row = dict[str, Any]


async def memory_of(system: System) -> int:
    return int((await system.redis.info("memory"))["used_memory"])


def measure(*, full: bool = False) -> dict[str, Any]:
    return asyncio.run(_measure(seconds=20.0 if full else 8.0))


async def _measure(*, seconds: float) -> dict[str, Any]:
    provider = Provider(knows_all=True, picture_bytes=4096)
    settings = {"RETOUCH_QUBICO__READS_PER_SECOND": f"{READS_PER_SECOND:g}", "RETOUCH_EDITS__DEADLINE": "24h"}
    async with running(provider, workers=0, settings=settings) as system:
        await system.redis.config_set("auto-aof-rewrite-percentage", 0)  # a copy of all pages it writes would be in it
        filler = Filler(system.redis, system.edit)
        await filler.put(AT_ONCE)  # scripts are loaded, sets are there
        keyed = await _grown(system, filler.put(KEYED, keyed=True))
        await system.redis.flushall()
        await filler.put(there := AT_ONCE)
        rows, empty = [], await memory_of(system)
        for level in LEVELS:
            await filler.fill(level - there)
            there = level
            kib = (await memory_of(system) - empty) / (level - AT_ONCE) / 1024
            rows.append({"in flight": level, "Redis, KiB an edit": kib, **await _read_for(system, seconds)})
            say(f"inflight: {level} in flight, {rows[-1]['Redis, KiB an edit']:.2f} KiB each")
    return {"levels": rows, "keyed": keyed / KEYED / 1024, "goals": _goals(rows)}


async def _grown(system: System, work: Coroutine[Any, Any, object]) -> int:
    before = await memory_of(system)
    await work
    return await memory_of(system) - before


async def _read_for(system: System, seconds: float) -> Row:
    """What a worker that has just started uses and needs while it reads the tasks of what is there."""
    async with _worker(system) as pid:
        await asyncio.sleep(WARM)
        await system.control()
        cpu, redis = used_by(pid)[0], await redis_cpu(system.redis)
        await asyncio.sleep(seconds)
        (later, resident), took = used_by(pid), await redis_cpu(system.redis) - redis
        reads = (await system.counters())["reads"]
    return {
        "reads": reads, "a read, µs in Redis": took / max(reads, 1),
        "a read, ms of worker CPU": (later - cpu) / max(reads, 1) * 1000, "worker, MiB": resident / MIB,
    }  # fmt: skip


@asynccontextmanager
async def _worker(system: System) -> AsyncIterator[int]:
    env = Environment(environ=system.environ, folder=system.folder)
    settings, ports = env.load(), Ports()
    (worker,) = env.services({}).workers(settings, ports)
    async with Supervisor([worker], logs=system.folder / "logs", say=say, grace=10) as supervisor:
        yield supervisor.pids()[worker.name]
    ports.release()


def _goals(rows: Sequence[Row]) -> list[Row]:
    first, last = rows[0], rows[-1]
    flat = [(name, last[name] / first[name]) for name in first if "µs" in name or "ms of" in name]
    return [
        goal("a worker's memory grows by ≤ 40 MiB", last["worker, MiB"] - first["worker, MiB"], most=40),
        goal(f"Redis ≤ 1.5 KiB an edit ({SHAPE})", last["Redis, KiB an edit"], most=1.5),
        *(goal(f"flat, last to first ≤ {FLAT:g}: {name}", times, most=FLAT) for name, times in flat),
    ]


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    yield f"Edits in flight ({SHAPE}; with a key: {found['keyed']:.2f} KiB)", found["levels"]
    yield "Goals", found["goals"]
