"""A load that is held, and what it uses up: so many edits are always unfinished, one more for each that ends.

All is counted over a window after the load has settled. Shares are of what there is: 1 is used up.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any, Final

import psutil
from redis.asyncio import Redis

from benchmarks.spent import spent
from benchmarks.system import NAMESPACE, System
from benchmarks.used import Running, busiest, threads_of, used_by
from cli.local.supervisor import Supervisor
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
    """Edits that are kept unfinished in a system. `beside` keep parts that belong to it, too."""

    system: System
    beside: Sequence[Supervisor] = ()
    accepted: int = 0

    @property
    def workers(self) -> list[int]:
        return [pid for part, pid in self._parts() if part.startswith("worker")]

    def _parts(self) -> list[tuple[str, int]]:
        return [pair for kept in (self.system.supervisor, *self.beside) for pair in kept.pids().items()]

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
        threads = {pid: threads_of(pid) for pid in self.workers}
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
            "workers": sum(used_by(pid)[0] for pid in self.workers),
            "machine": _busy(),
            "ours": sum(used_by(pid)[0] for _, pid in self._parts()) + time.process_time(),
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
    """Seconds of CPU that the machine has worked, whoever for."""
    times: Any = psutil.cpu_times()
    return float(times.user + times.system + times.nice + getattr(times, "softirq", 0.0) + getattr(times, "irq", 0.0))
