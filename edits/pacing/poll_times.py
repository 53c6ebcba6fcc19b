"""The best ages at which to look at a task, for one distribution of how long it takes. Pure.

They cost the least of all in reads and lag together, and are found backwards: the best next look at an age is the one
after which reads, what ends unseen until then, and the best looks after it cost least.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from edits.pacing.durations import Times, begin, nearest

FIRST: Final = 0.0001  # share of all tasks that has ended where looks are first thought of
OUTLIVED: Final = 0.002  # share of all tasks that is left where they are no longer


@dataclass(frozen=True, slots=True)
class Looks:
    """`ages[i]` is the next look of a task found unfinished at the `first + i`-th bound of `edits.pacing.durations`."""

    first: int
    ages: tuple[float, ...]
    not_before: float

    @classmethod
    def best(cls, times: Times, *, worth: float, not_before: float = 0.0) -> Self:
        """`worth`: reads that a lag of one second is as dear as; lags are as dear as their square."""
        first, last = times.bound(FIRST), times.bound(1 - OUTLIVED)
        follows = _found_backwards(times, first, max(last, first + 1), worth)
        return cls(first, tuple(begin(i) for i in follows), not_before)

    def gap(self, age: float) -> float | None:
        """Seconds from this age to the next look; None once nearly all that was seen had ended."""
        i = nearest(age) - self.first
        if i >= len(self.ages):
            return None
        gap = self.ages[i] - begin(i + self.first) if i > 0 else self.ages[0] - age
        return max(gap, self.not_before - age)


def _found_backwards(times: Times, first: int, last: int, worth: float) -> Sequence[int]:
    """The bound of the next look for each from the first to before the last. The later the look, the later the next."""
    ended, sums, squares = times.ended, times.sums, times.squares
    cost, follows, latest = {last: 1 - ended[last]}, [], last
    for i in range(last - 1, first - 1, -1):
        least = float("inf")
        done, total, square = ended[i], sums[i], squares[i]
        for j in range(latest, i, -1):
            if cost[j] >= least:  # what is earlier costs more
                break
            at = begin(j)
            late = at * at * (ended[j] - done) - 2 * at * (sums[j] - total) + squares[j] - square
            if (here := worth * late + cost[j]) < least:
                least, best = here, j
        cost[i], latest = least + 1 - done, best
        follows.append(best)
    return follows[::-1]
