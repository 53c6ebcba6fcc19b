"""When to ask about a task again, learned from how long such tasks took. Pure: time is passed in.

Its rule: the looks are those that cost least in reads and lag together (`edits.looks`), and lag is worth fewer reads
while reads are short.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import exp, log, sqrt
from typing import Final, Self

from edits.pacing.durations import Times, begin, bucket
from edits.pacing.poll_times import Looks

WAIT_GUESS: Final = 1.0  # seconds, while nothing was seen
RUN_GUESS: Final = 8.0
WORTH: Final = 8.0  # reads that a lag of one second is as dear as; one of two seconds is as dear as four of one
SHORT: Final = (
    24.0  # seconds; of shorter runs a lag of the same share is as dear: it wastes as much of the room in flight
)
SHORTEST_GAP: Final = 0.25  # seconds
HUNG_GAP: Final = 0.05  # of its age: the gap of a task that took longer than nearly all

CALLED_BACK: Final = 0.98  # share of tasks that have ended when one whose callback did not come is looked at
TRUSTED: Final = 0.9  # share of ends that callbacks told of, from which on they are waited for

HALF_LIFE: Final = 200  # tasks seen after which one counts for half
KEPT: Final = 512  # tasks seen that are kept
WINDOWS: Final = (25, 50, 100, 200)  # latest tasks that are held against those before them
SHIFTED: Final = 1.95  # as likely as one in a thousand, without a shift (Kolmogorov and Smirnov)

LATE: Final = 0.5  # seconds that reads are overdue for which the stretch is e; for twice as many its square
FOLLOWS: Final = 60.0  # seconds in which the stretch follows: twice a task, or it would swing
UNKNOWN: Final = 1.0  # second: for longer before a claim, reads are not taken to have been overdue
MOST_STRETCH: Final = 20.0

WAITING: Final = 16  # buckets of the age of waiting tasks for which looks are found together
LEVEL: Final = 1.1  # between stretches for which looks are found apart

ABANDONED_GAPS: Final = (60.0, 300.0, 1800.0)


@dataclass(frozen=True, slots=True)
class Took:
    """What an ended task took: seconds before it started, and from there to its end, by the provider's own clock."""

    wait: float
    run: float
    called_back: bool = False


@dataclass(frozen=True)
class Pace:
    """How one kind of task is asked about."""

    waits: Times
    runs: Times
    called_back: float = 0.0
    """Share of ends that callbacks told of."""

    stretch: float = 1.0
    """Of all gaps; more than 1 while the reads that are allowed do not suffice."""

    _looks: dict[tuple[int | None, int], Looks] = field(default_factory=dict, repr=False, compare=False)

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

    def stretched(self, stretch: float) -> Self:
        return self if stretch == self.stretch else replace(self, stretch=stretch)

    def first_look(self) -> float:
        """Seconds from the acceptance of a task to its first read."""
        return self.next_look(0.0, running=None)

    def next_look(self, age: float, *, running: float | None) -> float:
        """Seconds to the next read of an unfinished task: its age, and for how long it runs if it was seen to."""
        at = age if running is None else running
        gap = self._looks_of(bucket(age) // WAITING if running is None else None).gap(at)
        return max(at * HUNG_GAP * self.stretch if gap is None else gap, SHORTEST_GAP)

    def _looks_of(self, waiting: int | None) -> Looks:
        """Found when they are first asked for; `waiting`: of tasks not yet running at about this age."""
        level = round(log(self.stretch) / log(LEVEL))
        if (waiting, level) not in self._looks:
            times = self.runs if waiting is None else self._whole(begin(waiting * WAITING))
            self._looks[waiting, level] = Looks.best(
                times,
                worth=self._worth / LEVEL ** (3 * level),  # gaps are as the third root of it
                not_before=times.quantile(CALLED_BACK) if self.called_back >= TRUSTED else 0.0,
            )
        return self._looks[waiting, level]

    @property
    def _worth(self) -> float:
        return WORTH * max(1.0, SHORT / self.runs.mean) ** 2

    def _whole(self, age: float) -> Times:
        """Wait and run together, of tasks that were seen waiting at this age."""
        return (self.waits.after(age) if age else self.waits).plus(self.runs)


def stretch(now: float, *, late: float, elapsed: float) -> float:
    """The stretch from now on. `late`: seconds by which reads are overdue as the budget does not allow more."""
    wanted = min(MOST_STRETCH, exp(min(late / LATE, MOST_STRETCH)))
    if wanted > now:
        elapsed = min(elapsed, UNKNOWN)
    return now * exp(log(wanted / now) * (1 - exp(-elapsed / FOLLOWS)))


def abandoned_look(age: float) -> float:
    """Seconds to the next read of a task that nobody waits for: slow, it is only read for the books."""
    return ABANDONED_GAPS[0] if age < 3600 else ABANDONED_GAPS[1] if age < 6 * 3600 else ABANDONED_GAPS[2]


def _since_shift(latest: Sequence[float]) -> int:
    """How many of the latest times are of the same kind: all, or those since the provider became slower or faster."""
    for window in WINDOWS:
        new, old = sorted(latest[:window]), sorted(latest[window : 3 * window])
        if len(old) >= window and _distance(new, old) > SHIFTED * sqrt((len(new) + len(old)) / (len(new) * len(old))):
            return window
    return len(latest)


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    """The largest difference of the shares of two sorted samples that lie below a value."""
    most, i, j = 0.0, 0, 0
    while i < len(a) and j < len(b):
        if a[i] <= b[j]:
            i += 1
        else:
            j += 1
        most = max(most, abs(i / len(a) - j / len(b)))
    return most
