"""Distributions of durations over buckets. Pure; unseen durations keep a small share."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import erf, log, sqrt
from operator import mul
from typing import Final, Self

RATIO: Final = 1.01  # between the bounds of buckets
LOWEST: Final = 0.05  # seconds; below is the first bucket
BUCKETS: Final = 1200  # up to two hours
BOUNDS: Final = tuple(LOWEST * RATIO**i for i in range(BUCKETS))  # upper bounds of the buckets, seconds

GUESS_SPREAD: Final = 1.0  # of the log of times, while nothing was seen
GUESS_WEIGHT: Final = 0.5  # a broad guess counts as so many times seen
LEAST_REACH: Final = 2  # buckets on each side, at least
NEIGHBORS: Final = 0.05  # share of all samples that each one is smoothed over
REACH: Final = 4.0  # spreads beyond which a bell counts as nothing
OUTLIVED_SPREAD: Final = 0.2  # of the log of the guessed time of a task older than all samples
POINTS: Final = 10  # that stand for a distribution where it is added to another
CERTAIN: Final = 1e-9
NEVER: Final = 1e-6  # a share that does not count where a distribution is added to another


def bucket(seconds: float) -> int:
    return min(BUCKETS - 1, bisect_right(BOUNDS, seconds))


def nearest(seconds: float) -> int:
    """The bound that is nearest."""
    i = bucket(seconds)
    return i + (seconds > _MIDDLES[i])


def begin(i: int) -> float:
    """Where a bucket begins, seconds."""
    return BOUNDS[i - 1] if i else 0.0


_MIDDLES: Final = tuple((bound + begin(i)) / 2 for i, bound in enumerate(BOUNDS))
_SQUARES: Final = tuple(_MIDDLES[i] ** 2 + (bound - begin(i)) ** 2 / 12 for i, bound in enumerate(BOUNDS))


@dataclass(frozen=True, slots=True)
class Times:
    """Shares of all in each bucket. The others are of the bounds that `begin` gives, and one longer."""

    shares: tuple[float, ...]
    ended: tuple[float, ...]  # share that has ended by then
    sums: tuple[float, ...]  # of the times of what has ended by then, in shares; at last the mean
    squares: tuple[float, ...]  # of the squares of those times

    @classmethod
    def of(cls, masses: Sequence[float]) -> Self:
        whole = sum(masses)
        shares = tuple(mass / whole for mass in masses)
        return cls(
            shares,
            tuple(min(share, 1.0) for share in accumulate(shares, initial=0.0)),
            tuple(accumulate(map(mul, shares, _MIDDLES), initial=0.0)),
            tuple(accumulate(map(mul, shares, _SQUARES), initial=0.0)),
        )

    @property
    def mean(self) -> float:
        return self.sums[-1]

    @classmethod
    def seen(cls, weighed: Iterable[tuple[float, float]], *, guess: float) -> Self:
        """From samples (seconds, weight), smoothed over their neighbors; `guess`: the median without samples."""
        counts = [0.0] * BUCKETS
        for seconds, weight in weighed:
            counts[bucket(seconds)] += weight
        masses = _smoothed(counts)
        _add_bell(masses, *_broad(counts, guess), weight=GUESS_WEIGHT)
        return cls.of(masses)

    def quantile(self, share: float) -> float:
        """Seconds by which this share has ended."""
        return BOUNDS[min(BUCKETS - 1, max(0, bisect_left(self.ended, share) - 1))]

    def bound(self, share: float) -> int:
        """The last bound by which no more than this share has ended."""
        return max(0, bisect_right(self.ended, share) - 1)

    def after(self, age: float) -> "Times":
        """Of tasks unfinished at this age; after the longest sample, twice the age is the guess."""
        first = min(bucket(age), BUCKETS - 2)
        masses = [share if i > first else 0.0 for i, share in enumerate(self.shares)]
        if sum(masses) <= CERTAIN:
            masses = [0.0] * BUCKETS
            _add_bell(masses, log(2 * max(age, LOWEST)), OUTLIVED_SPREAD, weight=1.0)
        return Times.of(masses)

    def plus(self, other: "Times") -> "Times":
        """The sum of two independent times; a few quantiles represent this one."""
        masses = [0.0] * BUCKETS
        some = [(at, share) for at, share in zip(_MIDDLES, other.shares, strict=True) if share > NEVER]
        for k in range(POINTS):
            first = self.quantile((k + 0.5) / POINTS)
            i = bucket(first + some[0][0])
            for at, share in some:
                while i < BUCKETS - 1 and first + at > BOUNDS[i]:
                    i += 1
                masses[i] += share
        return Times.of(masses)


def _smoothed(counts: Sequence[float]) -> list[float]:
    """Spreads each bucket evenly over the neighbors on both sides that hold the share `NEIGHBORS` of all samples."""
    below = list(accumulate(counts, initial=0.0))
    wanted, reach, previous = NEIGHBORS * below[-1], 0, 0
    changes = [0.0] * (BUCKETS + 1)
    for i, weight in enumerate(counts):
        if not weight:
            continue
        reach, previous = max(LEAST_REACH, reach - (i - previous)) - 1, i
        first = last = i
        while below[last] - below[first] < wanted or last == first:
            reach += 1
            first, last = max(0, i - reach), min(BUCKETS, i + reach + 1)
        changes[first] += weight / (last - first)
        changes[last] -= weight / (last - first)
    return [max(0.0, mass) for mass in accumulate(changes[:-1])]


def _broad(counts: Sequence[float], guess: float) -> tuple[float, float]:
    """Mean and spread (of the log) of a prior wide enough to include unseen times."""
    seen = [(log(_MIDDLES[i]), weight) for i, weight in enumerate(counts) if weight]
    if not seen:
        return log(guess), GUESS_SPREAD
    number = sum(weight for _, weight in seen)
    mean = sum(at * weight for at, weight in seen) / number
    spread = sqrt(sum((at - mean) ** 2 * weight for at, weight in seen) / number)
    return mean, max(2 * spread, 0.3)


def _add_bell(masses: list[float], mean: float, spread: float, *, weight: float) -> None:
    """Adds a normal distribution of the log of times; its tails go to the first and last bucket."""
    reach = int(REACH * spread / log(RATIO)) + 1
    center = round((mean - log(LOWEST)) / log(RATIO))
    first, last = (max(0, min(BUCKETS - 1, end)) for end in (center - reach, center + reach))
    before = 0.0
    for i in range(first, last + 1):
        until = 1.0 if i == last else 0.5 * (1 + erf((log(LOWEST) + i * log(RATIO) - mean) / spread / sqrt(2)))
        masses[i] += weight * (until - before)
        before = until
