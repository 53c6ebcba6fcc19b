"""The cells of `limits`: so many processes before a provider of such a rate, while something happens or nothing does.

A cell is known by its name, `8@300 half restarted`: the tables have it, and `--only` asks for it alone.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import psutil

from benchmarks.provider import Provider
from benchmarks.rounds import say
from benchmarks.system import NAMESPACE, System, running
from edits.db.schedule import Schedule
from edits.db.sender import Scripts

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
        "processes": cell.processes,
        "creates/s": cell.rate,
        "what": what,
        "used": share(seen["creates"], seen["latest"], elapsed, rate=cell.rate),
        "refused": seen["refused"],
        "burst seen": seen["burst_needed"],
        "stand-in stood still, ms": round(seen["stalled"] * 1000),
        "cores busy": busy,
        "binds": "CPU" if busy > FULL * (os.cpu_count() or 1) else "the rate",
    }
    say(f"limits: {cell.processes}@{cell.rate:g} {what}: {row['used']:.1%} used, {row['refused']} refused")
    return row


def share(creates: int, latest: float, elapsed: float, *, rate: float) -> float:
    """Of the rate, by the gaps between creates, as a window that holds few of them cuts one off."""
    ended_early = elapsed - latest > 2 / rate + 0.1
    return (creates - 1) / (elapsed if ended_early else latest) / rate if creates > 1 else 0.0


def cores_busy(before: Any, after: Any) -> float:
    """Of the whole machine: the product, the stand-in, and whatever else runs here."""
    spent = [late - early for early, late in zip(before, after, strict=True)]
    idle = (after.idle - before.idle) + (after.iowait - before.iowait)
    return float((1 - idle / sum(spent)) * (os.cpu_count() or 1))


async def _end_half(system: System, seconds: float) -> None:
    """The supervisor starts anew what ends."""
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
    return [
        {
            "processes": cell.processes,
            "allowed": allowed,
            "most in flight": seen["most_in_flight"],
            "passed": seen["over_cap"],
            "tasks ended": seen["finished"],
        }
    ]


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
    holding = Schedule(Scripts(system.redis, NAMESPACE), 1e6, 1e6, 0)
    for at in range(0, number, FILLED_AT_ONCE):
        await holding.heartbeat([], [])
        await system.accept(min(FILLED_AT_ONCE, number - at))
    await holding.heartbeat([], [], leave=True)
