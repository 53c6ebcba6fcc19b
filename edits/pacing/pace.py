"""When to read a task again, learned from the durations of earlier tasks. Pure: time is passed in.

Poll times minimise E[reads] + worth · E[lag²] (`poll_times`); `worth` falls while the read limit delays reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import exp, log, sqrt
from typing import Final, Self

from edits.pacing.durations import Times, begin, bucket
from edits.pacing.poll_times import PollTimes

WAIT_GUESS: Final = 1.0  # seconds, while nothing was seen
RUN_GUESS: Final = 8.0
WORTH: Final = 8.0  # reads that a lag of 1 s costs; the cost grows with the square of the lag
SHORT: Final = 24.0  # seconds; for shorter runs lag counts relative to the run, as it wastes that share of a slot
SHORTEST_GAP: Final = 0.25  # seconds
HUNG_GAP: Final = 0.05  # gap of a task older than nearly all samples, as a share of its age

CALLED_BACK: Final = 0.98  # share of tasks that have ended when a task without a callback is read
TRUSTED: Final = 0.9  # share of ends reported by callbacks, from which on reads wait for them

HALF_LIFE: Final = 200  # tasks after which a sample counts half
KEPT: Final = 512  # stored samples
WINDOWS: Final = (25, 50, 100, 200)  # latest tasks that are compared with those before them
SHIFTED: Final = 1.95  # p = 0.001 without a shift (Kolmogorov-Smirnov)

LATE: Final = 0.5  # seconds; the throttle is exp(overdue / LATE)
FOLLOWS: Final = 60.0  # seconds; time constant of the throttle: twice a task, or it would oscillate
UNKNOWN: Final = 1.0  # seconds before a claim in which reads count as overdue, at most
MOST_THROTTLE: Final = 20.0

WAITING: Final = 16  # buckets of the age of waiting tasks that share poll times
LEVEL: Final = 1.1  # ratio of two stretches with poll times of their own

ABANDONED_GAPS: Final = (60.0, 300.0, 1800.0)


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds that an ended task waited and ran, by the provider's clock."""

    wait: float
    run: float
    called_back: bool = False


@dataclass(frozen=True)
class Pace:
    """The pace of reads for one kind of task."""

    waits: Times
    runs: Times
    called_back: float = 0.0  # share of ends reported by callbacks
    throttle: float = 1.0  # throttle factor of all gaps; above 1 while the read limit delays reads
    _poll_times: dict[tuple[int | None, int], PollTimes] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def learned(cls, latest: Sequence[Took]) -> Self:
        """From tasks that ended, the latest first."""
        same = latest[: _since_shift([took.run for took in latest])]
        weights = [0.5 ** (i / HALF_LIFE) for i in range(len(same))]
        return cls(
            waits=Times.seen(zip((took.wait for took in same), weights, strict=True), guess=WAIT_GUESS),
            runs=Times.seen(zip((took.run for took in same), weights, strict=True), guess=RUN_GUESS),
            called_back=sum(w for took, w in zip(same, weights, strict=True) if took.called_back)
            / max(sum(weights), 1),
        )

    def throttled(self, throttle: float) -> Self:
        return self if throttle == self.throttle else replace(self, throttle=throttle)

    def first_look(self) -> float:
        """Seconds from the acceptance of a task to its first read."""
        return self.next_look(0.0, running=None)

    def next_look(self, age: float, *, running: float | None) -> float:
        """Seconds to the next read of an unfinished task. `age`, `running` (None: still waiting): in seconds."""
        at = age if running is None else running
        gap = self._poll_times_of(bucket(age) // WAITING if running is None else None).gap(at)
        return max(at * HUNG_GAP * self.throttle if gap is None else gap, SHORTEST_GAP)

    def _poll_times_of(self, waiting: int | None) -> PollTimes:
        """Computed on first use; `waiting`: for tasks not yet running at about this age."""
        level = round(log(self.throttle) / log(LEVEL))
        if (waiting, level) not in self._poll_times:
            times = self.runs
            if waiting is not None:
                waits = self.waits.after(begin(waiting * WAITING)) if waiting else self.waits
                times = waits.plus(self.runs)
            worth = WORTH * max(1.0, SHORT / self.runs.mean) ** 2
            self._poll_times[waiting, level] = PollTimes.best(
                times,
                worth=worth / LEVEL ** (3 * level),  # gaps are as the third root of it
                not_before=times.quantile(CALLED_BACK) if self.called_back >= TRUSTED else 0.0,
            )
        return self._poll_times[waiting, level]


def throttle(now: float, *, late: float, elapsed: float) -> float:
    """The next throttle. `late`: seconds that the read limit has delayed reads; `elapsed`: seconds since `now`."""
    wanted = min(MOST_THROTTLE, exp(min(late / LATE, MOST_THROTTLE)))
    if wanted > now:
        elapsed = min(elapsed, UNKNOWN)
    return now * exp(log(wanted / now) * (1 - exp(-elapsed / FOLLOWS)))


def abandoned_look(age: float) -> float:
    """Seconds to the next read of an abandoned task, which is read only for its cost."""
    return ABANDONED_GAPS[0] if age < 3600 else ABANDONED_GAPS[1] if age < 6 * 3600 else ABANDONED_GAPS[2]


def _since_shift(latest: Sequence[float]) -> int:
    """How many of the latest times to use: all, or those since the provider's speed changed."""
    for window in WINDOWS:
        new, old = sorted(latest[:window]), sorted(latest[window : 3 * window])
        if len(old) >= window and _distance(new, old) > SHIFTED * sqrt((len(new) + len(old)) / (len(new) * len(old))):
            return window
    return len(latest)


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Kolmogorov-Smirnov distance of two sorted samples."""
    most, i, j = 0.0, 0, 0
    while i < len(a) and j < len(b):
        if a[i] <= b[j]:
            i += 1
        else:
            j += 1
        most = max(most, abs(i / len(a) - j / len(b)))
    return most
