"""Question: how much of the provider's limits is used, by however many processes? None may be passed.

The stand-in keeps the limits as a provider's front does and counts what it refuses. Tasks take half a minute and reads
are few, so that creates are what the processes are busy with.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Final, Literal

import psutil

from benchmarks.provider import Provider
from benchmarks.rounds import goal, say
from benchmarks.system import NAMESPACE, System, running
from edits.ceilings import Ceilings
from edits.db.sender import Scripts
from edits.db.workers import WorkerRegistry

CREATE_DELAY: Final = 0.05  # seconds until the stand-in answers a create
READS_PER_SECOND: Final = "50"
NO_BURST: Final = 0.92
"""Of the rate is what processes are told that face a provider without any burst: room for the jitter of the way."""

SETTLE: Final = 3.0  # seconds after all processes have started
AT_REST: Final = 0.5  # seconds in which all have heard of a refusal
CLOSED_FOR: Final = 2.5  # seconds in which every create is refused
BACK_WITHIN: Final = 14.0  # seconds after it that are looked at
FILLED_FOR: Final = 10.0  # seconds of the rate that the queue holds beyond those that are measured
FILLED_AT_ONCE: Final = 500
CAP: Final = 20
FULL: Final = 0.85  # of the cores busy: there was no CPU left when it was needed
NEVER: Final = 999.0  # seconds

Kind = Literal["steady", "half restarted", "no burst", "refused", "cap"]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    processes: int
    rate: float
    """Creates a second that the provider takes; of a cap: tasks in flight."""

    kind: Kind
    seconds: float
    """Of each window: a cell `half restarted` has a steady one before."""

    @property
    def name(self) -> str:
        return f"{self.processes}@{self.rate:g} {self.kind}"

    async def measured(self) -> list[Row]:
        kinds: dict[Kind, Callable[[Cell], Coroutine[Any, Any, list[Row]]]] = {"refused": _refusals, "cap": _cap}
        return await kinds.get(self.kind, _rate)(self)


async def _rate(cell: Cell) -> list[Row]:
    """While nothing happens, and while half of the processes are ended and started again."""
    restart, burst = cell.kind == "half restarted", 0.0 if cell.kind == "no burst" else 0.1
    told = cell.rate if burst else cell.rate * NO_BURST
    async with _busy(cell, seconds=cell.seconds * (1 + restart), burst=burst, told=told) as system:
        first: Kind = "no burst" if cell.kind == "no burst" else "steady"
        rows = [await _window(system, cell, asyncio.sleep(cell.seconds), what=first)]
        if restart:
            rows.append(await _window(system, cell, _end_half(system, cell.seconds), what="half restarted"))
        return rows


async def _window(system: System, cell: Cell, during: Coroutine[Any, Any, None], *, what: Kind) -> Row:
    loop = asyncio.get_running_loop()
    before, began = psutil.cpu_times(), loop.time()
    await system.control()
    await during
    seen, elapsed = await system.counters(), loop.time() - began
    busy = cores_busy(before, psutil.cpu_times())
    row = {
        "processes": cell.processes, "creates/s": cell.rate, "what": what,
        "used": share(seen["creates"], seen["latest"], elapsed, rate=cell.rate), "refused": seen["refused"],
        "burst seen": seen["burst_needed"], "stand-in stood still, ms": round(seen["stalled"] * 1000),
        "cores busy": busy, "binds": "CPU" if busy > FULL * (os.cpu_count() or 1) else "the rate",
    }  # fmt: skip
    say(f"limits: {cell.processes}@{cell.rate:g} {what}: {row['used']:.1%} used, {row['refused']} refused")
    return row


def share(creates: int, latest: float, elapsed: float, *, rate: float) -> float:
    """Of the rate, by the gaps between creates, as a window that holds few of them cuts one off."""
    ended_early = elapsed - latest > 2 / rate + 0.1
    return (creates - 1) / (elapsed if ended_early else latest) / rate if creates > 1 else 0.0


def cores_busy(before: Any, after: Any) -> float:
    """Of the whole machine: the product, the stand-in and all other processes."""
    spent = [late - early for early, late in zip(before, after, strict=True)]
    idle = (after.idle - before.idle) + (after.iowait - before.iowait)
    return float((1 - idle / sum(spent)) * (os.cpu_count() or 1))


async def _end_half(system: System, seconds: float) -> None:
    """The supervisor restarts ended processes."""
    pids = system.pids()
    for pid in pids[: len(pids) // 2]:
        os.kill(pid, signal.SIGTERM)
    await asyncio.sleep(seconds)
    for _ in range(100):  # their start belongs to the window
        if len(system.pids()) == len(pids):
            break
        await asyncio.sleep(0.2)
    await asyncio.sleep(2)


async def _refusals(cell: Cell) -> list[Row]:
    """Every create is refused for a while. Counted are the tries, and the time until the rate is back."""
    async with _busy(cell, seconds=CLOSED_FOR + BACK_WITHIN) as system:
        await system.control(closed_for=CLOSED_FOR)
        await asyncio.sleep(CLOSED_FOR + BACK_WITHIN)
        seen = await system.counters()
    row = {
        "processes": cell.processes,
        "creates/s": cell.rate,
        "refused at once": sum(at < AT_REST for at in seen["refused_at"]),
        "probes": sum(at >= AT_REST for at in seen["refused_at"]),
        "least s between probes": closest(seen["refused_at"]),
        "95 % again after, s": back_after(seen["seconds"], rate=cell.rate, closed_for=CLOSED_FOR),
        "refused after": sum(at > CLOSED_FOR + 0.1 for at in seen["refused_at"]),
    }
    say(f"limits: {cell.name}: back after {row['95 % again after, s']} s")
    return [row]


def closest(refused_at: Sequence[float]) -> float:
    """Seconds between two probes of the fleet, the least. What was refused at once counts as one."""
    probes = [0.0, *sorted(at for at in refused_at if at >= AT_REST)]
    return min((later - earlier for earlier, later in pairwise(probes)), default=NEVER)


def back_after(seconds: Sequence[int], *, rate: float, closed_for: float) -> float:
    """From when the provider took creates again to the beginning of the first second at 95 % of the rate."""
    for second, creates in enumerate(seconds):
        if second >= closed_for and creates >= 0.95 * rate:
            return second - closed_for
    return NEVER


async def _cap(cell: Cell) -> list[Row]:
    """Short tasks and no limit but that of tasks in flight."""
    allowed = round(cell.rate)
    provider = Provider(speed=15.0, cap=allowed, create_delay=CREATE_DELAY, picture_bytes=4096)
    settings = {"RETOUCH_QUBICO__MAX_IN_FLIGHT": str(allowed)}
    async with running(provider, workers=cell.processes, settings=settings) as system:
        await _fill(system, round(allowed * (cell.seconds + FILLED_FOR)))
        await asyncio.sleep(SETTLE)
        await system.control()
        await asyncio.sleep(cell.seconds)
        seen = await system.counters()
    say(f"limits: {cell.name}: {seen['most_in_flight']} in flight at the most")
    return [{
        "processes": cell.processes, "allowed": allowed, "most in flight": seen["most_in_flight"],
        "passed": seen["over_cap"], "tasks ended": seen["finished"],
    }]  # fmt: skip


@asynccontextmanager
async def _busy(cell: Cell, *, seconds: float, burst: float = 0.1, told: float | None = None) -> AsyncIterator[System]:
    """A system with enough in its queue for so many seconds, once all processes have begun."""
    provider = Provider(rate=cell.rate, burst=burst, create_delay=CREATE_DELAY, picture_bytes=4096)
    settings = {
        "RETOUCH_QUBICO__CREATES_PER_SECOND": f"{told or cell.rate:g}",
        "RETOUCH_QUBICO__READS_PER_SECOND": READS_PER_SECOND,
    }
    async with running(provider, workers=cell.processes, settings=settings) as system:
        await _fill(system, round(cell.rate * (seconds + FILLED_FOR)))
        await asyncio.sleep(SETTLE)
        yield system


async def _fill(system: System, number: int) -> None:
    """Nothing is created meanwhile: of all ceilings the lowest holds, and one process allows nothing in flight."""
    holding = WorkerRegistry(Scripts(system.redis, NAMESPACE), Ceilings(1e6, 1e6, 0))
    for at in range(0, number, FILLED_AT_ONCE):
        await holding.heartbeat([])
        await system.accept(min(FILLED_AT_ONCE, number - at))
    await holding.heartbeat([], leave=True)


PROCESSES: Final = (1, 4, 8)
RATES: Final = (5.0, 50.0, 300.0)

SHORT: Final = (
    Cell(1, 300.0, "steady", 8),
    Cell(8, 5.0, "steady", 12),
    Cell(4, 50.0, "half restarted", 8),
    Cell(8, 300.0, "half restarted", 8),
    Cell(4, 5.0, "no burst", 12),
    Cell(4, 50.0, "refused", 0),
    Cell(4, float(CAP), "cap", 8),
)
"""The corners of the matrix, and each other case once."""

WHOLE: Final = (
    *(Cell(each, rate, "half restarted" if each > 1 else "steady", 14) for each, rate in product(PROCESSES, RATES)),
    *(Cell(each, rate, "no burst", 16) for each, rate in product(PROCESSES[::2], RATES)),
    *(Cell(each, rate, "refused", 0) for each, rate in product(PROCESSES[::2], RATES[1:])),
    *(Cell(each, float(CAP), "cap", 20) for each in PROCESSES),
)


def measure(*, full: bool = False) -> dict[str, Any]:
    return _asked(WHOLE if full else SHORT)


def _asked(cells: Sequence[Cell]) -> dict[str, Any]:
    found: dict[str, list[Row]] = {"rates": [], "refusals": [], "caps": []}
    for cell in cells:
        found[{"refused": "refusals", "cap": "caps"}.get(cell.kind, "rates")] += asyncio.run(cell.measured())
    return {**found, "goals": _goals(**found)}


def _goals(rates: Sequence[Row], refusals: Sequence[Row], caps: Sequence[Row]) -> list[Row]:
    goals = []
    for row in rates:
        if least := _least(row):
            goals.append(goal(f"used ≥ {least:.0%}: {_case(row)}", row["used"], least=least))
            goals.append(goal(f"none refused: {_case(row)}", row["refused"], most=0))
    for row in refusals:
        name = _case(row)
        goals.append(goal(f"one probe an interval, s: {name}", row["least s between probes"], least=0.9))
        goals.append(goal(f"95 % again within 10 s: {name}", row["95 % again after, s"], most=10))
    goals += [goal(f"cap in flight never passed: {_case(row)}", row["passed"], most=0) for row in caps]
    return goals


def _least(row: Row) -> float | None:
    """The share that is to be used; None: there is no goal, and the table tells."""
    if row["what"] != "no burst":
        return 0.98
    return 0.9 if row["creates/s"] <= RATES[0] else None


def _case(row: Row) -> str:
    processes = f"{row['processes']} process{'es' if row['processes'] > 1 else ''}"
    rate = f"{row['creates/s']:g}/s" if "creates/s" in row else None
    return ", ".join(filter(None, (processes, rate, row.get("what"))))


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """Those that were asked for."""
    shown = [{**row, "used": f"{row['used']:.1%}", "creates/s": f"{row['creates/s']:g}"} for row in found["rates"]]
    asked = (
        ("Share of the provider's rate that is used; its bucket holds 0.1 s of it, at least 2 tokens", shown),
        (f"Every create refused for {CLOSED_FOR:g} s", found["refusals"]),
        ("Tasks in flight, by the provider's own count", found["caps"]),
        ("Goals", found["goals"]),
    )
    yield from ((title, rows) for title, rows in asked if rows)
