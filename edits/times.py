"""How long something takes, as a distribution over buckets. Pure; what was never seen keeps a small share."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import erf, log, sqrt
from typing import Final, Self

RATIO: Final = 1.05  # between the bounds of buckets
LOWEST: Final = 0.05  # seconds; below is the first bucket
BUCKETS: Final = 240  # up to some 100 minutes
BOUNDS: Final = tuple(LOWEST * RATIO**i for i in range(BUCKETS))
"""Upper bounds of the buckets, seconds."""

GUESS_SPREAD: Final = 1.0  # of the log of times, while nothing was seen
GUESS_WEIGHT: Final = 0.5  # a broad guess counts as so many times seen
NEIGHBORS: Final = 0.1  # share of what was seen that each time is smoothed over
REACH: Final = 4.0  # spreads beyond which a bell counts as nothing
OUTLIVED_SPREAD: Final = 0.2  # of the log of a time that is guessed for what has outlived all that was seen
POINTS: Final = 10  # that stand for a distribution where it is added to another
CERTAIN: Final = 1e-9


def bucket(seconds: float) -> int:
    return min(BUCKETS - 1, bisect_right(BOUNDS, seconds))


@dataclass(frozen=True, slots=True)
class Times:
    """Shares of all in each bucket. `ended` and `clock` are of where a bucket begins, and one longer."""

    shares: tuple[float, ...]
    ended: tuple[float, ...]
    """Share that has ended by then."""

    clock: tuple[float, ...]
    """The integral of sqrt(hazard) until then: reads at equal steps of it find ends with the least mean lag."""

    mean: float
    disorder: float
    """The integral of sqrt(density * share left): reads times mean lag cannot fall below half its square."""

    @classmethod
    def of(cls, masses: Sequence[float]) -> Self:
        whole = sum(masses)
        shares = tuple(mass / whole for mass in masses)
        ended, clock, mean, disorder = [0.0], [0.0], 0.0, 0.0
        for i, share in enumerate(shares):
            left = max(1 - ended[-1] - share / 2, CERTAIN)
            clock.append(clock[-1] + sqrt(share * _width(i) / left))
            ended.append(min(ended[-1] + share, 1.0))
            mean += share * _middle(i)
            disorder += sqrt(share * _width(i) * left)
        return cls(shares, tuple(ended), tuple(clock), mean, disorder)

    @classmethod
    def seen(cls, weighed: Iterable[tuple[float, float]], *, guess: float) -> Self:
        """From (seconds, weight) of each time seen, smoothed over its neighbors; `guess`: a median while none was."""
        counts: dict[int, float] = {}
        for seconds, weight in weighed:
            counts[bucket(seconds)] = counts.get(bucket(seconds), 0.0) + weight
        masses = [0.0] * BUCKETS
        _add_bell(masses, *_broad(counts, guess), weight=GUESS_WEIGHT)
        number = sum(counts.values())
        for i, weight in counts.items():
            _add_bell(masses, _log(i), _neighborhood(counts, i, NEIGHBORS * number), weight=weight)
        return cls.of(masses)

    def quantile(self, share: float) -> float:
        """Seconds by which this share has ended."""
        return BOUNDS[min(BUCKETS - 1, max(0, bisect_left(self.ended, share) - 1))]

    def left(self, age: float) -> float:
        """Share that has not ended at this age."""
        return 1 - self.ended[bucket(age)]

    def after(self, age: float) -> "Times":
        """Of those that have not ended at this age; if all had ended by then, it may well take as long again."""
        first = min(bucket(age), BUCKETS - 2)
        masses = [share if i > first else 0.0 for i, share in enumerate(self.shares)]
        if sum(masses) <= CERTAIN:
            masses = [0.0] * BUCKETS
            _add_bell(masses, log(2 * max(age, LOWEST)), OUTLIVED_SPREAD, weight=1.0)
        return Times.of(masses)

    def plus(self, other: "Times") -> "Times":
        """The sum of a time of each; this one is stood for by a few points."""
        masses = [0.0] * BUCKETS
        for k in range(POINTS):
            first = self.quantile((k + 0.5) / POINTS)
            for i, share in enumerate(other.shares):
                if share > CERTAIN:
                    masses[bucket(first + _middle(i))] += share
        return Times.of(masses)

    def gap(self, age: float, step: float) -> float:
        """Seconds from this age to a step of the clock further on."""
        wanted = self._clock_at(age) + step
        i = bisect_right(self.clock, wanted) - 1
        if i >= BUCKETS:
            return BOUNDS[-1]
        inside = (wanted - self.clock[i]) / max(self.clock[i + 1] - self.clock[i], CERTAIN)
        return _begin(i) + inside * _width(i) - age

    def until_ended(self, share: float, *, age: float) -> float:
        """Seconds from this age in which no more than this share of all ends; 0 if fewer are left."""
        wanted = self.ended[bucket(age)] + share
        return max(0.0, _begin(bisect_right(self.ended, wanted) - 1) - age) if wanted < 1 else 0.0

    def _clock_at(self, age: float) -> float:
        i = bucket(age)
        return self.clock[i] + (self.clock[i + 1] - self.clock[i]) * min(1.0, (age - _begin(i)) / _width(i))


def _begin(i: int) -> float:
    return BOUNDS[i - 1] if i else 0.0


def _width(i: int) -> float:
    return BOUNDS[i] - _begin(i)


def _middle(i: int) -> float:
    return (BOUNDS[i] + _begin(i)) / 2


def _log(i: int) -> float:
    return log(_middle(i))


def _broad(counts: Mapping[int, float], guess: float) -> tuple[float, float]:
    """Mean and spread (of the log) of a guess that is wide enough not to exclude what was not seen yet."""
    number = sum(counts.values())
    if not number:
        return log(guess), GUESS_SPREAD
    mean = sum(_log(i) * n for i, n in counts.items()) / number
    spread = sqrt(sum((_log(i) - mean) ** 2 * n for i, n in counts.items()) / number)
    return mean, max(2 * spread, 0.3)


def _neighborhood(counts: Mapping[int, float], i: int, wanted: float) -> float:
    """How wide (in the log) around a bucket so much of what was seen lies."""
    reach, inside = 0, counts.get(i, 0.0)
    while inside < wanted and reach < BUCKETS:
        reach += 1
        inside += counts.get(i - reach, 0.0) + counts.get(i + reach, 0.0)
    return max(reach, 0.5) * log(RATIO)


def _add_bell(masses: list[float], mean: float, spread: float, *, weight: float) -> None:
    """A normal distribution of the log of times; what lies beyond the buckets counts for the last one at that end."""
    reach = int(REACH * spread / log(RATIO)) + 1
    center = round((mean - log(LOWEST)) / log(RATIO))
    first, last = (max(0, min(BUCKETS - 1, end)) for end in (center - reach, center + reach))
    before = 0.0
    for i in range(first, last + 1):
        until = 1.0 if i == last else 0.5 * (1 + erf((log(LOWEST) + i * log(RATIO) - mean) / spread / sqrt(2)))
        masses[i] += weight * (until - before)
        before = until
