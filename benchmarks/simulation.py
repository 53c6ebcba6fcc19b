"""What a schedule costs in reads and in lag. It is asked as the worker asks it: first, and after each look in vain."""

import heapq
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from statistics import fmean, quantiles
from typing import Final, Protocol

from benchmarks.shapes import STEADY, Task
from edits.pacing import pace
from edits.pacing.pace import Pace, Took

LEARNED_AFTER: Final = 20  # tasks between two looks at what was learned


class Schedule(Protocol):
    def look(self, age: float, running: float | None) -> float:
        """Seconds to the next read; `age` 0: of a task just taken."""

    def ended(self, task: Task, *, called_back: bool) -> None: ...


@dataclass
class Learned:
    """The product: gaps from what tasks took so far."""

    throttle: float = 1.0
    seen: list[Took] = field(default_factory=list)
    number: int = 0
    _pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self._pace = Pace.learned(self.seen)

    def look(self, age: float, running: float | None) -> float:
        return self._pace.throttled(self.throttle).next_look(age, running=running)

    def ended(self, task: Task, *, called_back: bool) -> None:
        self.seen.insert(0, Took(task.wait, task.run, called_back))
        del self.seen[pace.KEPT :]
        self.number += 1
        if self.number % LEARNED_AFTER == 0:
            self._pace = Pace.learned(self.seen)


@dataclass
class Fixed:
    gap: float

    def look(self, age: float, running: float | None) -> float:
        return self.gap

    def ended(self, task: Task, *, called_back: bool) -> None:
        pass


@dataclass
class FixedAfterFirst(Fixed):
    """A first wait until one of twenty has ended, learned from the latest 200; then a fixed gap."""

    seen: list[float] = field(default_factory=list)
    first: float = 0.0

    def look(self, age: float, running: float | None) -> float:
        return self.gap if age else max(self.gap, self.first)

    def ended(self, task: Task, *, called_back: bool) -> None:
        self.seen.append(task.whole)
        if len(self.seen) % LEARNED_AFTER == 0:
            latest = sorted(self.seen[-200:])
            self.first = latest[len(latest) // 20]


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
            self.schedule.throttle = pace.throttle(self.schedule.throttle, late=late, elapsed=elapsed)
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


@dataclass(frozen=True, slots=True)
class Cost:
    """Means over tasks; lags in seconds."""

    reads: float
    lag: float
    p50: float
    p99: float


def asked(schedule: Schedule, task: Task) -> tuple[int, float]:
    """Reads until the end was seen, and how late."""
    age, reads = schedule.look(0.0, None), 1
    while age < task.whole:
        age += schedule.look(age, age - task.wait if age >= task.wait else None)
        reads += 1
    return reads, age - task.whole


def run(schedule: Schedule, tasks: Sequence[Task]) -> list[tuple[int, float]]:
    found = []
    for task in tasks:
        found.append(asked(schedule, task))
        schedule.ended(task, called_back=False)
    return found


def cost(found: Iterable[tuple[int, float]]) -> Cost:
    reads, lags = zip(*found, strict=True)
    cuts = quantiles(lags, n=100)
    return Cost(fmean(reads), fmean(lags), cuts[49], cuts[98])


def shift(*, warm: int, seed: int) -> list[dict[str, float]]:
    """Runs of 30 ± 3 s become 45 ± 4.5 s, and back: reads and lag in windows of 50 tasks after the shift."""
    chance, schedule, rows = random.Random(seed), Learned(), []
    before = [Task(1.5, chance.gauss(30, 3)) for _ in range(warm)]
    slower = [Task(1.5, chance.gauss(45, 4.5)) for _ in range(400)]
    faster = [Task(1.5, chance.gauss(30, 3)) for _ in range(400)]
    found = run(schedule, [*before, *slower, *faster])
    for first in range(warm - 100, len(found) - 49, 50):
        part = cost(found[first : first + 50])
        rows.append({"task": first - warm, "reads": part.reads, "lag": part.lag})
    return rows


def called_back(lost: float, *, warm: int, tasks: int, seed: int) -> dict[str, float]:
    """Callbacks come 50 ms after the end, except so many that are lost."""
    chance, schedule, found = random.Random(seed), Learned(), []
    for task in STEADY.tasks(warm + tasks, seed=seed):
        told = chance.random() >= lost
        reads, lag = asked(schedule, task)
        found.append((_before_the_end(schedule, task) + 1, 0.05) if told else (reads, lag))
        schedule.ended(task, called_back=told)
    part = cost(found[warm:])
    return {"lost": lost, "reads": part.reads, "lag": part.lag, "lag_p50": part.p50, "lag_p99": part.p99}


def _before_the_end(schedule: Schedule, task: Task) -> int:
    return asked(schedule, task)[0] - 1
