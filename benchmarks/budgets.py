"""All tasks of a system share a budget of reads, which grants one each so many seconds: to what is overdue the longest.

It can never be passed, here as in the claim of the product; what is asked is which lag it costs.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from statistics import fmean, quantiles
from typing import Final

from benchmarks.looking import cost, run
from benchmarks.schedules import Learned
from benchmarks.shapes import STEADY, Task
from edits.pacing import pace

CLAIMED_EVERY: Final = 0.2  # seconds between two looks of the product at how late reads are
PART: Final = 20.0  # seconds, of which lags are held against each other


@dataclass
class Shared:
    """`rate` tasks come in each second; a read is granted every `gap` seconds."""

    schedule: Learned
    tasks: Sequence[Task]
    rate: float
    gap: float
    now: float = 0.0
    reads: list[float] = field(default_factory=list)
    """When they were granted."""

    lags: list[tuple[float, float]] = field(default_factory=list)
    """Of the ends that were seen: when the task came in, and how late."""

    _due: list[tuple[float, int]] = field(default_factory=list)
    _claimed_at: float = 0.0
    _came: int = 0

    def run(self) -> None:
        """Until the last task has come in."""
        while self._came < len(self.tasks):
            self._come_in()
            self._claim()
            self._read(heapq.heappop(self._due)[1])

    def _come_in(self) -> None:
        """All that come before the next read can be granted and is due."""
        while self._came < len(self.tasks):
            came = self._came / self.rate
            if self._due and came > max(self.now + self.gap, self._due[0][0]):
                break
            heapq.heappush(self._due, (came + self.schedule.look(0.0, None), self._came))
            self._came += 1
        self.now = max(self.now + self.gap, self._due[0][0])

    def _claim(self) -> None:
        elapsed = self.now - self._claimed_at
        if elapsed >= CLAIMED_EVERY:
            late = self.now - self._due[0][0]
            self.schedule.stretch = pace.stretch(self.schedule.stretch, late=late, elapsed=elapsed)
            self._claimed_at = self.now

    def _read(self, i: int) -> None:
        self.reads.append(self.now)
        age, task = self.now - i / self.rate, self.tasks[i]
        if age >= task.whole:
            self.lags.append((i / self.rate, age - task.whole))
        else:
            running = age - task.wait if age >= task.wait else None
            heapq.heappush(self._due, (self.now + self.schedule.look(age, running), i))


def short_of_reads(
    share: float, *, warm: int, seed: int, seconds: float = 600.0, rate: float = 20.0
) -> dict[str, float]:
    """With this share of the reads that would be asked for; of the second half, when it has settled."""
    seen = Learned()
    run(seen, STEADY.tasks(warm, seed=seed + 1))
    tasks = STEADY.tasks(round(rate * seconds), seed=seed)
    allowed = share * cost(run(Learned(seen=list(seen.seen)), tasks[:1000])).reads
    system = Shared(Learned(seen=list(seen.seen)), tasks, rate, gap=1 / (allowed * rate))
    system.run()
    return {"share": share, "reads_allowed": allowed, **_settled(system, begin=seconds / 2, end=seconds - 3 * PART)}


def _settled(system: Shared, *, begin: float, end: float) -> dict[str, float]:
    """Of the tasks that came in between, and of all reads since; the lag also of the best and the worst part."""
    granted = [at for at in system.reads if at >= begin]
    reads = (len(granted) - 1) / (granted[-1] - granted[0]) / system.rate
    parts: dict[int, list[float]] = {}
    for came, late in system.lags:
        if begin <= came < end:
            parts.setdefault(int(came / PART), []).append(late)
    lags, means = list(chain(*parts.values())), [fmean(part) for part in parts.values()]
    lag, cuts = fmean(lags), quantiles(lags, n=100)
    return {
        "reads": reads, "times_floor": reads / STEADY.floor(lag), "lag": lag, "lag_p50": cuts[49], "lag_p99": cuts[98],
        "lag_least": min(means), "lag_most": max(means),
    }  # fmt: skip
