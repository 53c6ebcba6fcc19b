"""Decides all retries: the delay before attempt n of each kind of failure, and repurchases."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from edits.models import ErrorKind

FINAL_FAILURES: Final = frozenset({ErrorKind.REJECTED, ErrorKind.MODERATED, ErrorKind.EXPIRED})
"""`POST …/retry` cannot help; it may after any other."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Grows by `factor` from `first` to `most` seconds; gives up (None) after `tries`, never if that is None."""

    first: float
    factor: float
    most: float
    tries: int | None = None

    def delay(self, tried: int, jitter: Callable[[], float]) -> float | None:
        """Seconds before the next try after `tried` failures; `jitter` gives numbers in [0, 1)."""
        if self.tries is not None and tried >= self.tries:
            return None
        full = min(self.most, self.first * self.factor ** min(tried, 30))
        return full * (0.75 + 0.5 * jitter())


READ: Final = Backoff(first=1, factor=2, most=30)  # the provider cannot be read; outages fail no edit
COPY: Final = Backoff(first=1, factor=2, most=300)  # the file host fails; the file lives for FILE_LIFE
KEEP: Final = Backoff(first=1, factor=2, most=60)  # our storage fails; its circuit spaces all attempts
FILE_GONE: Final = Backoff(first=4, factor=2, most=60, tries=5)  # 404, 410 or HTML: 4 + 8 + 16 + 32 + 60 s = 2 min
TASK_UNKNOWN: Final = Backoff(first=1, factor=2, most=30, tries=7)  # a 404 right after the create: about 1.5 min
NO_ADDRESS: Final = Backoff(first=2, factor=1, most=2, tries=1)  # completed without a file: one second read
BROKEN: Final = Backoff(first=5, factor=2, most=60, tries=5)  # an error of our own: 5 + 10 + 20 + 40 + 60 s
ADOPT: Final = Backoff(first=2, factor=1.5, most=15)  # looks for a lost answer's task

FILE_LIFE: Final = timedelta(days=3)  # how long the provider keeps a result (its storage page, 2025-08)


def buys_again(
    kind: ErrorKind, *, asked: bool, automatic_so_far: int, automatic_limit: int
) -> Literal["asked", "automatic"] | None:
    """Who allows the repurchase of a failed task, if any: a person's `retry`, or the setting."""
    if asked:
        return "asked"
    if kind is ErrorKind.PROVIDER_FAILED and automatic_so_far < automatic_limit:
        return "automatic"
    return None
