"""When to ask about a task again, learned from how long such tasks took. Pure: time is passed in.

The hazard h is the chance per second that a task ends now, given that it has not yet. Gaps of c / sqrt(h) find ends
with the least mean lag that so many reads can buy; c follows from the lag wanted, and grows when reads are short.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import exp, sqrt
from typing import Final, Self

from edits.times import Times, bucket

WAIT_GUESS: Final = 1.0  # seconds, while nothing was seen
RUN_GUESS: Final = 8.0
SHORTEST_GAP: Final = 0.25  # seconds
LONGEST_GAP: Final = 2.5  # seconds, while the task is expected
LAG_SHARE: Final = 0.025  # mean lag wanted, as a share of the mean run: so much of the room in flight may be wasted
UNEXPECTED: Final = 0.01  # a time in which no more than this share of all tasks ends may go unread
OUTLIVED: Final = 0.002  # share of all tasks that are left when one counts as hung
HUNG_GAP: Final = 0.05  # of its age: the least gap of such a task

CALLED_BACK: Final = 0.98  # share of tasks that have ended when one whose callback did not come is looked at
TRUSTED: Final = 0.9  # share of ends that callbacks told of, from which on they are waited for

HALF_LIFE: Final = 100  # tasks seen after which one counts for half
KEPT: Final = 512  # tasks seen that are kept
WINDOWS: Final = (25, 50, 100, 200)  # latest tasks that are held against those before them
SHIFTED: Final = 1.95  # as likely as one in a thousand, without a shift (Kolmogorov and Smirnov)

LATE: Final = 0.5  # seconds that reads are overdue for which all gaps are stretched by their own length
FOLLOWS: Final = 5.0  # seconds in which the stretch follows what is overdue
MOST_STRETCH: Final = 200.0

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

    _wholes: dict[int, Times] = field(default_factory=dict, repr=False, compare=False)

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

    @property
    def step(self) -> float:
        return self.stretch * 2 * LAG_SHARE * self.runs.mean / self.runs.disorder

    def first_look(self) -> float:
        """Seconds from the acceptance of a task to its first read."""
        return self.next_look(0.0, running=None)

    def next_look(self, age: float, *, running: float | None) -> float:
        """Seconds to the next read of an unfinished task: its age, and for how long it runs if it was seen to."""
        times, at = (self._whole(age), age) if running is None else (self.runs, running)
        longest = max(LONGEST_GAP * self.stretch, times.until_ended(UNEXPECTED * self.stretch, age=at))
        gap = min(max(times.gap(at, self.step), SHORTEST_GAP), longest)
        if times.left(at) <= OUTLIVED:
            gap = max(gap, at * HUNG_GAP)
        return max(gap, times.quantile(CALLED_BACK) - at) if self.called_back >= TRUSTED else gap

    def _whole(self, age: float) -> Times:
        """Wait and run together, of tasks that were seen waiting at this age."""
        seen = bucket(age) if age else -1
        if seen not in self._wholes:
            self._wholes[seen] = (self.waits.after(age) if age else self.waits).plus(self.runs)
        return self._wholes[seen]


def stretch(now: float, *, late: float, elapsed: float) -> float:
    """The stretch from now on. `late`: seconds by which reads are overdue as the budget does not allow more."""
    wanted = min(MOST_STRETCH, 1 + late / LATE)
    return now + (wanted - now) * (1 - exp(-elapsed / FOLLOWS))


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
