"""Question: what do many edits in flight need, and what does an edit cost among them? Memory and time, up to 100,000.

Edits are put in flight by the product's own scripts, with task ids that no provider gave. Then a real worker reads
their tasks, so many a second however many there are; the stand-in shows each as one that runs.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from benchmarks import allocators
from benchmarks.colours import GOAL, OURS
from benchmarks.filling import AT_ONCE, Filler, redis_cpu
from benchmarks.provider import Provider
from benchmarks.rounds import goal, say
from benchmarks.system import System, running
from benchmarks.used import used_by
from cli.local import services
from cli.local.ports import Ports
from cli.local.stack import Ground
from cli.local.supervisor import Supervisor

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
            rows.append(
                {
                    "in flight": level,
                    "Redis, KiB an edit": (await memory_of(system) - empty) / (level - AT_ONCE) / 1024,
                    **await _read_for(system, seconds),
                }
            )
            say(f"inflight: {level} in flight, {rows[-1]['Redis, KiB an edit']:.2f} KiB each")
        servers = await allocators.beside_few(filler)
    for binary in allocators.others():
        servers += await allocators.on(binary)
    return {"levels": rows, "keyed": keyed / KEYED / 1024, "servers": servers, "goals": _goals(rows, servers)}


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
        "reads": reads,
        "a read, µs in Redis": took / max(reads, 1),
        "a read, ms of worker CPU": (later - cpu) / max(reads, 1) * 1000,
        "worker, MiB": resident / MIB,
    }


@asynccontextmanager
async def _worker(system: System) -> AsyncIterator[int]:
    ground = Ground(environ=system.environ, folder=system.folder)
    settings, ports = ground.load(), Ports()
    (part,) = services.workers(settings, environment=ground.environment({}), folder=system.folder, ports=ports)
    async with Supervisor([part], logs=system.folder / "logs", say=say, grace=10) as supervisor:
        yield supervisor.pids()[part.name]
    ports.release()


def _goals(rows: Sequence[Row], servers: Sequence[Row]) -> list[Row]:
    first, last = rows[0], rows[-1]
    flat = [(name, last[name] / first[name]) for name in first if "µs" in name or "ms of" in name]
    flat += [(f"{row['step']}, {row['server']}", row["times"]) for row in servers]
    return [
        goal("a worker's memory grows by ≤ 40 MiB", last["worker, MiB"] - first["worker, MiB"], most=40),
        goal(f"Redis ≤ 1.5 KiB an edit ({SHAPE})", last["Redis, KiB an edit"], most=1.5),
        *(goal(f"flat, last to first ≤ {FLAT:g}: {name}", times, most=FLAT) for name, times in flat),
    ]


def picture(found: Mapping[str, Any], figure: Any) -> None:
    """What an edit needs in Redis, what the worker needs, and how the cost of each call grows, by edits in flight."""
    rows = found["levels"]
    levels = [row["in flight"] for row in rows]
    redis, worker, costs = figure.subplots(1, 3)
    for axes, name, most in ((redis, "Redis, KiB an edit", 1.5), (worker, "worker, MiB", rows[0]["worker, MiB"] + 40)):
        axes.plot(levels, [row[name] for row in rows], marker="o", color=OURS)
        axes.axhline(most, **GOAL)
        axes.set(ylabel=name, ylim=(0, most * 1.15))
    for name in (name for name in rows[0] if "µs" in name or "ms of" in name):
        costs.plot(levels, [row[name] / rows[0][name] for row in rows], marker="o", ms=3, label=name)
    for row in found["servers"]:
        ends, times = (allocators.FEW, allocators.MANY), (1, row["times"])
        costs.plot(ends, times, marker="o", ms=3, ls=":", label=f"{row['step']}, {row['server']}")
    costs.axhline(FLAT, **GOAL)
    costs.set(ylabel=f"cost, times that with {levels[0]:,}", ylim=(0, None))
    costs.legend(fontsize=7, frameon=False, loc="lower right")
    for axes in (redis, worker, costs):
        axes.set(xscale="log", xlabel="edits in flight; dashed: the goal")


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    yield f"Edits in flight ({SHAPE}; with a key: {found['keyed']:.2f} KiB)", found["levels"]
    yield "Redis' CPU of an edit's steps among few and many in flight, by the server's allocator", found["servers"]
    yield "Goals", found["goals"]
