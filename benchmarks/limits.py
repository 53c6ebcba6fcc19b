"""Question: how much of the provider's limits is used, by however many processes? None may be passed.

The stand-in keeps the limits as a provider's front does and counts what it refuses. Tasks take half a minute and reads
are few, so that creates are what the processes are busy with.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Final

import psutil

from benchmarks.provider import Provider
from benchmarks.rounds import goal, say
from benchmarks.system import NAMESPACE, System, running
from edits.schedule import Schedule
from edits.scripting import Scripts

PROCESSES: Final = (1, 4, 8)
RATES: Final = (5.0, 50.0, 300.0)
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

Row = dict[str, Any]


def measure(*, full: bool = False) -> dict[str, Any]:
    return asyncio.run(_measure(full=full))


async def _measure(*, full: bool) -> dict[str, Any]:
    rates, refusals, caps = await (_whole() if full else _short())
    return {"rates": rates, "refusals": refusals, "caps": caps, "goals": _goals(rates, refusals, caps)}


async def _short() -> tuple[list[Row], list[Row], list[Row]]:
    """The corners of the matrix, and each other question once."""
    rates = [
        *await _rate(1, 300.0, seconds=8),
        *await _rate(8, 5.0, seconds=16),
        *await _rate(4, 50.0, seconds=10, restart=True),
        *await _rate(8, 300.0, seconds=8, restart=True),
        *await _rate(4, 5.0, seconds=14, burst=0.0),
    ]
    return rates, [await _refusals(4, 50.0)], [await _cap(4, seconds=8)]


async def _whole() -> tuple[list[Row], list[Row], list[Row]]:
    rates = [
        row
        for rate in RATES
        for processes in PROCESSES
        for row in await _rate(processes, rate, seconds=25, restart=processes > 1)
    ]
    rates += [row for rate in RATES for each in (1, 8) for row in await _rate(each, rate, seconds=20, burst=0.0)]
    refusals = [await _refusals(each, rate) for each in PROCESSES for rate in RATES[1:]]
    return rates, refusals, [await _cap(each, seconds=20) for each in PROCESSES]


async def _rate(processes: int, rate: float, *, seconds: float, burst: float = 0.1, restart: bool = False) -> list[Row]:
    """While nothing happens, and while half of the processes are ended and started again."""
    told = rate if burst else rate * NO_BURST
    async with _busy(processes, rate, seconds=seconds * (1 + restart), burst=burst, told=told) as system:
        rows = [await _window(system, processes, rate, asyncio.sleep(seconds), what="steady" if burst else "no burst")]
        if restart:
            rows.append(await _window(system, processes, rate, _end_half(system, seconds), what="half restarted"))
        return rows


async def _window(system: System, processes: int, rate: float, during: Coroutine[Any, Any, None], *, what: str) -> Row:
    loop = asyncio.get_running_loop()
    before, began = psutil.cpu_times(), loop.time()
    await system.control()
    await during
    seen, elapsed = await system.counters(), loop.time() - began
    busy = cores_busy(before, psutil.cpu_times())
    row = {
        "processes": processes,
        "creates/s": rate,
        "what": what,
        "used": share(seen["creates"], seen["latest"], elapsed, rate=rate),
        "refused": seen["refused"],
        "burst seen": seen["burst_needed"],
        "stand-in stood still, ms": round(seen["stalled"] * 1000),
        "cores busy": busy,
        "binds": "CPU" if busy > FULL * (os.cpu_count() or 1) else "the rate",
    }
    say(f"limits: {processes} processes, {rate:g}/s, {what}: {row['used']:.1%} used, {row['refused']} refused")
    return row


def share(creates: int, latest: float, elapsed: float, *, rate: float) -> float:
    """Of the rate, by the gaps between creates, as a window that holds few of them cuts one off."""
    ended_early = elapsed - latest > 2 / rate + 0.1
    return (creates - 1) / (elapsed if ended_early else latest) / rate if creates > 1 else 0.0


def cores_busy(before: Any, after: Any) -> float:
    """Of the whole machine: the product, the stand-in, and whatever else runs here."""
    spent = [late - early for early, late in zip(before, after, strict=True)]
    idle = (after.idle - before.idle) + (after.iowait - before.iowait)
    return (1 - idle / sum(spent)) * (os.cpu_count() or 1)


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


async def _refusals(processes: int, rate: float) -> Row:
    """Every create is refused for a while. Counted are the tries, and the time until the rate is back."""
    async with _busy(processes, rate, seconds=CLOSED_FOR + BACK_WITHIN) as system:
        await system.control(closed_for=CLOSED_FOR)
        await asyncio.sleep(CLOSED_FOR + BACK_WITHIN)
        seen = await system.counters()
    row = {
        "processes": processes,
        "creates/s": rate,
        "refused at once": sum(at < AT_REST for at in seen["refused_at"]),
        "probes": sum(at >= AT_REST for at in seen["refused_at"]),
        "least s between probes": closest(seen["refused_at"]),
        "95 % again after, s": back_after(seen["seconds"], rate=rate, closed_for=CLOSED_FOR),
        "refused after": sum(at > CLOSED_FOR + 0.1 for at in seen["refused_at"]),
    }
    say(f"limits: {processes} processes, {rate:g}/s, refused: back after {row['95 % again after, s']} s")
    return row


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


async def _cap(processes: int, *, seconds: float) -> Row:
    """Short tasks and no limit but that of tasks in flight."""
    provider = Provider(speed=15.0, cap=CAP, create_delay=CREATE_DELAY, picture_bytes=4096)
    settings = {"RETOUCH_QUBICO__MAX_IN_FLIGHT": str(CAP)}
    async with running(provider, workers=processes, settings=settings) as system:
        await _fill(system, round(CAP * (seconds + FILLED_FOR)))
        await asyncio.sleep(SETTLE)
        await system.control()
        await asyncio.sleep(seconds)
        seen = await system.counters()
    say(f"limits: {processes} processes, {CAP} in flight allowed: {seen['most_in_flight']} at the most")
    return {
        "processes": processes,
        "allowed": CAP,
        "most in flight": seen["most_in_flight"],
        "passed": seen["over_cap"],
        "tasks ended": seen["finished"],
    }


@asynccontextmanager
async def _busy(
    processes: int, rate: float, *, seconds: float, burst: float = 0.1, told: float | None = None
) -> AsyncIterator[System]:
    """A system with enough in its queue for so many seconds, once all processes have begun."""
    provider = Provider(rate=rate, burst=burst, create_delay=CREATE_DELAY, picture_bytes=4096)
    settings = {
        "RETOUCH_QUBICO__CREATES_PER_SECOND": f"{told or rate:g}",
        "RETOUCH_QUBICO__READS_PER_SECOND": READS_PER_SECOND,
    }
    async with running(provider, workers=processes, settings=settings) as system:
        await _fill(system, round(rate * (seconds + FILLED_FOR)))
        await asyncio.sleep(SETTLE)
        yield system


async def _fill(system: System, number: int) -> None:
    """Nothing is created meanwhile: of all ceilings the lowest holds, and one process allows nothing in flight."""
    holding = Schedule(Scripts(system.redis, NAMESPACE), 1e6, 1e6, 0)
    for at in range(0, number, FILLED_AT_ONCE):
        await holding.heartbeat([], [])
        await system.accept(min(FILLED_AT_ONCE, number - at))
    await holding.heartbeat([], [], leave=True)


def _goals(rates: Sequence[Row], refusals: Sequence[Row], caps: Sequence[Row]) -> list[Row]:
    goals = []
    for row in rates:
        name = f"{row['processes']} processes, {row['creates/s']:g}/s, {row['what']}"
        no_burst = row["what"] == "no burst"
        if no_burst and row["creates/s"] > RATES[0]:
            continue  # told in the table
        goals.append(
            goal(f"used ≥ {0.9 if no_burst else 0.98:.0%}: {name}", row["used"], least=0.9 if no_burst else 0.98)
        )
        goals.append(goal(f"none refused: {name}", row["refused"], most=0))
    for row in refusals:
        name = f"{row['processes']} processes, {row['creates/s']:g}/s"
        goals.append(goal(f"one probe an interval, s: {name}", row["least s between probes"], least=0.9))
        goals.append(goal(f"95 % again within 10 s: {name}", row["95 % again after, s"], most=10))
    goals += [goal(f"cap in flight never passed: {row['processes']} processes", row["passed"], most=0) for row in caps]
    return goals


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    shown = [{**row, "used": f"{row['used']:.1%}", "creates/s": f"{row['creates/s']:g}"} for row in found["rates"]]
    yield "Share of the provider's rate that is used; its bucket holds 0.1 s of it, at least 2 tokens", shown
    yield f"Every create refused for {CLOSED_FOR:g} s", found["refusals"]
    yield "Tasks in flight, by the provider's own count", found["caps"]
    yield "Goals", found["goals"]


def picture(found: Mapping[str, Any], figure: Any) -> None:
    axes = figure.subplots()
    rows = found["rates"][::-1]
    names = [f"{row['processes']} processes, {row['creates/s']:g}/s, {row['what']}" for row in rows]
    axes.barh(names, [row["used"] * 100 for row in rows], color="#c0563c")
    axes.axvline(98, color="#444", linewidth=0.8, linestyle="--")
    for place, row in enumerate(rows):
        axes.text(1, place, f"{row['refused']} refused", va="center", color="white", fontsize=8)
    axes.set_xlabel("% of the provider's rate used (dashed: the goal of 98)")
