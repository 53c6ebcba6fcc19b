"""Question: what do more worker processes bring? And what binds first.

A load is held: so many edits are unfinished at any moment that there is always more to do than is done. Each needs two
reads and one picture of 256 KiB. All is counted over a window after the load has settled; a share of 1 is used up.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any, Final

import psutil
from redis.asyncio import Redis

from benchmarks.provider import Provider
from benchmarks.rounds import goal, say, summed
from benchmarks.spent import spent
from benchmarks.system import NAMESPACE, System, running
from benchmarks.used import Running, busiest, threads_of, used_by
from edits.db.sender import BATCH
from edits.models import Step
from workers.permits import PERMITS

TENANT: Final = "default"
FED_EVERY: Final = 0.05  # seconds
LOOK_EVERY: Final = 0.2  # seconds
CLAIMED: Final = 10_000  # ms ahead: a step looks at nothing so late, but each lease ends later
CONNECTIONS: Final = 100  # to the provider, of a process
STEPS: Final = (Step.SUBMIT, Step.POLL, Step.STORE)

Figures = dict[str, float]


@dataclass
class Held:
    """Edits that are kept unfinished in a system."""

    system: System
    accepted: int = 0

    @asynccontextmanager
    async def unfinished(self, number: int) -> AsyncIterator[None]:
        feeding = asyncio.create_task(self._feed(number))
        try:
            yield
        finally:
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feeding

    async def _feed(self, number: int) -> None:
        while True:
            if missing := number + await self.system.ended() - self.accepted:
                await self.system.accept(missing)
                self.accepted += missing
            await asyncio.sleep(FED_EVERY)

    async def over(self, seconds: float) -> Figures:
        """What the window shows."""
        seen = _Seen()
        threads = {pid: threads_of(pid) for pid in self.system.pids()}
        before, began = await self._counted(), time.monotonic()
        while (left := began + seconds - time.monotonic()) > 0:
            await seen.look(self.system.redis)
            await asyncio.sleep(min(LOOK_EVERY, left))
        passed, after = time.monotonic() - began, await self._counted()
        busy = [busiest(earlier, threads_of(pid)) for pid, earlier in threads.items()]
        return self._figures({name: after[name] - before[name] for name in after}, busy, seen, passed)

    async def _counted(self) -> Figures:
        """All that only grows. What Redis took is of its main thread; seconds but for the counts."""
        counts, loop = await spent(self.system.redis), await self.system.redis.info("debug")
        return {
            "ended": await self.system.ended(),
            "workers": sum(used_by(pid)[0] for pid in self.system.pids()),
            "machine": _busy(),
            "ours": sum(used_by(pid)[0] for pid in self.system.supervisor.pids().values()) + time.process_time(),
            "redis": counts["cpu"] / 1e6,
            "disk": loop["eventloop_duration_aof_sum"] / 1e6,
            "trips": counts["trips"],
            "calls": counts["calls"],
        }

    def _figures(self, of: Mapping[str, float], busy: Sequence[Running], seen: "_Seen", seconds: float) -> Figures:
        if not of["ended"]:
            raise RuntimeError("no edit has ended in the window")
        processes, cores = len(busy), os.cpu_count() or 1
        claimed = {step: fmean(numbers) for step, numbers in seen.claimed.items()}
        return {
            "processes": processes,
            "rate": of["ended"] / seconds,
            "worker_ms": of["workers"] / of["ended"] * 1000,
            "redis_ms": of["redis"] / of["ended"] * 1000,
            "call_ms": median(seen.calls) * 1000,
            "workers": fmean(thread.ran for thread in busy) / seconds,
            "in line": fmean(thread.waited for thread in busy) / seconds,
            "machine": of["machine"] / seconds / cores,
            "others": max(0.0, of["machine"] - of["ours"]) / seconds / cores,
            "redis": of["redis"] / seconds,
            "disk": of["disk"] / seconds,
            "batch": of["calls"] / of["trips"] / BATCH,
            "connections": sum(claimed.values()) / CONNECTIONS / processes,
            **{f"permits: {step}": claimed[step] / PERMITS[step] / processes for step in STEPS},
            **{f"waiting: {step}": fmean(seen.waiting[step]) for step in STEPS},
            **{f"held_ms: {step}": claimed[step] / of["ended"] * seconds * 1000 for step in STEPS},
        }


@dataclass
class _Seen:
    """What is looked at again and again."""

    calls: list[float] = field(default_factory=list)
    claimed: dict[Step, list[int]] = field(default_factory=lambda: {step: [] for step in STEPS})
    waiting: dict[Step, list[int]] = field(default_factory=lambda: {step: [] for step in STEPS})
    """Due by now, and claimed by nobody."""

    async def look(self, redis: Redis) -> None:
        began = time.perf_counter()
        await redis.set("bench:write", "1", px=1000)
        self.calls.append(time.perf_counter() - began)
        now = time.time() * 1000
        for step in STEPS:
            due = f"{NAMESPACE}:due:{step}"
            self.claimed[step].append(int(await redis.zcount(due, now + CLAIMED, "+inf")))
            queue = step is Step.SUBMIT  # what has not been claimed yet is in the fair queue
            waits = await redis.zcard(f"{NAMESPACE}:q:{TENANT}") if queue else await redis.zcount(due, "-inf", now)
            self.waiting[step].append(int(waits))


def _busy() -> float:
    """Seconds of CPU used by all processes of the machine."""
    times: Any = psutil.cpu_times()
    return float(times.user + times.system + times.nice + getattr(times, "softirq", 0.0) + getattr(times, "irq", 0.0))


PROCESSES: Final = (1, 2, 4, 8)
UNFINISHED: Final = 300  # edits, and as many more for each process that has a core
SETTLED: Final = 6.0  # seconds, in which the pace is learned and every step has come to work
FULL: Final = 0.9  # of what there is: that is what binds
OTHERS: Final = 0.1  # of the machine: so much of it is worth telling
PROVIDER: Final = Provider(reads=2, speed=60.0)
ORDER: Final = {
    "machine": "the machine: all its cores",
    "workers": "the workers: a core each",
    "redis": "Redis: its core",
    "disk": "Redis: its disk",
    "batch": "the way to Redis: full batches",
    **{f"permits: {step}": f"permits to {step}" for step in STEPS},
    "connections": "connections to the provider",
}
"""What may be used up, the cause before what follows from it: a call that waits for a core holds a permit meanwhile."""

SHARES: Final = {
    "a worker's core": "workers", "waits for a core": "in line", "all cores": "machine", "by others": "others",
    "Redis' core": "redis", "its disk": "disk", "a batch to it": "batch", "connections": "connections",
    **{f"permits to {step}": f"permits: {step}" for step in STEPS},
}  # fmt: skip


def measure(*, full: bool) -> dict[str, Any]:
    seconds = 12.0 if full else 6.0
    figures = {}
    for processes in PROCESSES:
        seen = asyncio.run(_held(processes, seconds))
        figures[_case(processes)] = summed([seen])
        say(f"{_case(processes)}: {seen['rate']:.0f} edits a second, {binds(seen)}")
    return {"seconds_each": seconds, "figures": figures, "goals": _goals(figures)}


def _case(processes: int) -> str:
    return f"{processes} process{'es' if processes > 1 else ''}"


async def _held(processes: int, seconds: float) -> Figures:
    async with running(PROVIDER, workers=processes) as system:
        held = Held(system)
        async with held.unfinished(UNFINISHED * (1 + min(processes, os.cpu_count() or 1))):
            await asyncio.sleep(SETTLED)
            return await held.over(seconds)


def binds(figures: Mapping[str, float]) -> str:
    """What is used up; if nothing is, what comes closest to it."""
    found = next((name for name in ORDER if figures[name] >= FULL), None)
    if found is None:
        return _crowded(figures) or _most(figures)
    if found == "machine" and figures["others"] > OTHERS:
        return f"{ORDER[found]} ({figures['others']:.0%} by programs beside the benchmark)"
    step = found.partition(": ")[2]
    return ORDER[found] + (f", each held for {figures[f'held_ms: {step}']:.0f} ms" if step in STEPS else "")


def _crowded(figures: Mapping[str, float]) -> str | None:
    """The step that more edits wait for than its permits would take, though no permit is always in hand."""
    step = max(STEPS, key=lambda step: figures[f"waiting: {step}"] / PERMITS[step])
    waiting = figures[f"waiting: {step}"]
    if waiting < PERMITS[step] * figures["processes"]:
        return None
    return f"claims to {step}: {waiting:.0f} edits wait, {figures[f'permits: {step}']:.0%} of the permits are in hand"


def _most(figures: Mapping[str, float]) -> str:
    most = max(ORDER, key=lambda name: figures[name])
    return f"nothing is used up; most: {ORDER[most]}, {figures[most]:.0%}"


def _medians(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: spread["median"] for name, spread in figures.items()}


def _goals(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    one, most = figures[_case(1)], figures[_case(PROCESSES[-1])]
    flat = most["worker_ms"]["median"] / one["worker_ms"]["median"]
    return [
        goal(f"CPU an edit of the workers with {PROCESSES[-1]} processes, times that with one, at most", flat, most=1.3)
    ]


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "Growth: goals", found["goals"]
    medians = {name: _medians(figures) for name, figures in found["figures"].items()}
    one = medians[_case(1)]["rate"]
    yield (
        "Growth under a load that is held, all parts and the provider on one machine",
        [
            {
                "workers": name, "times one": of["rate"] / one, "edits a second": round(of["rate"]),
                "workers, CPU ms an edit": of["worker_ms"], "Redis, CPU ms an edit": of["redis_ms"],
                "a call of Redis, ms": of["call_ms"], "binds first": binds(of),
            }
            for name, of in medians.items()
        ],
    )  # fmt: skip
    yield (
        "Growth: what is used, of what there is",
        [
            {"workers": name} | {heading: f"{of[share]:.0%}" for heading, share in SHARES.items()}
            for name, of in medians.items()
        ],
    )
