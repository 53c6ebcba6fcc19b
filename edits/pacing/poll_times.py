"""The best ages at which to read a task, for one distribution of its duration. Pure.

They minimise E[reads] + worth · E[lag²] (lag in seconds), by dynamic programming backwards from the latest end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from edits.pacing.durations import Times, begin, nearest

FIRST: Final = 0.0001  # share of tasks ended at the first possible read
OUTLIVED: Final = 0.002  # share of tasks left at the last one


@dataclass(frozen=True, slots=True)
class PollTimes:
    """`ages[i]`: the next read (s) of a task found unfinished at bound `first + i` of `edits.pacing.durations`."""

    first: int
    ages: tuple[float, ...]
    not_before: float

    @classmethod
    def best(cls, times: Times, *, worth: float, not_before: float = 0.0) -> Self:
        """`worth`: reads that a lag of 1 s costs; the cost grows with the square of the lag."""
        first, last = times.bound(FIRST), times.bound(1 - OUTLIVED)
        follows = _found_backwards(times, first, max(last, first + 1), worth)
        return cls(first, tuple(begin(i) for i in follows), not_before)

    def gap(self, age: float) -> float | None:
        """Seconds from this age to the next read; None once nearly all samples had ended."""
        i = nearest(age) - self.first
        if i >= len(self.ages):
            return None
        gap = self.ages[i] - begin(i + self.first) if i > 0 else self.ages[0] - age
        return max(gap, self.not_before - age)


def _found_backwards(times: Times, first: int, last: int, worth: float) -> Sequence[int]:
    """For each bound from first to before last, the bound of the next read, which grows with it."""
    ended, sums, squares = times.ended, times.sums, times.squares
    cost, follows, latest = {last: 1 - ended[last]}, [], last
    for i in range(last - 1, first - 1, -1):
        least = float("inf")
        done, total, square = ended[i], sums[i], squares[i]
        for j in range(latest, i, -1):
            if cost[j] >= least:  # earlier bounds cost more
                break
            at = begin(j)
            late = at * at * (ended[j] - done) - 2 * at * (sums[j] - total) + squares[j] - square
            if (here := worth * late + cost[j]) < least:
                least, best = here, j
        cost[i], latest = least + 1 - done, best
        follows.append(best)
    return follows[::-1]
