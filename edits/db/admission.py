"""Whether one more edit may be accepted; refuses early, cheaply, and with a useful `Retry-After`.

Depth is judged by the scripts (`crowded` in `_limits.lua`), memory by what Redis said of itself a moment ago.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypedDict

from redis.asyncio import Redis

from config.values import MemoryCap
from edits import errors
from edits.db.connection import LOST

LOOKS_EVERY: Final = 1.0  # seconds between two looks at the memory of Redis; one costs it some 100 µs
LOOKS_WITHIN: Final = 0.1  # seconds; without an answer the last one holds

UNKNOWN: Final = 10.0  # seconds to wait while the speed of the queue is unknown
SHORTEST: Final = 1.0
LONGEST: Final = 300.0
MEMORY_FREED_AFTER: Final = 60.0  # seconds; ended edits leave Redis one slice of the sweep after another
REMEMBERED: Final = 30.0  # seconds: how fast the queue drains is measured over one or two of these
PART: Final = 100  # refused callers return when a hundredth of the cap is free


class Verdict(TypedDict):
    """What a script says of one edit. The outcome of an edit that may be taken in stands alone."""

    outcome: str
    id: NotRequired[str]
    now: NotRequired[int]  # ms
    submitted: NotRequired[int]
    waiting: NotRequired[int]
    tenants: NotRequired[int]


@dataclass(slots=True)
class Drain:
    """How fast edits leave the queue, by the counts that refusals bring with them."""

    older: tuple[float, int] = (float("inf"), 0)  # seconds by the clock of Redis, edits submitted until then
    newer: tuple[float, int] = (float("inf"), 0)

    def wait(self, refusal: Verdict, *, cap: int) -> float:
        """Seconds until there is room again."""
        per_second = self._rate(refusal["now"] / 1000, refusal["submitted"])
        if per_second is None:
            return UNKNOWN
        if refusal["outcome"] == "tenant_full":
            per_second /= max(1, refusal["tenants"])
        places: int = refusal["waiting"] - cap + max(1, cap // PART)
        return min(LONGEST, max(SHORTEST, places / per_second))

    def _rate(self, now: float, submitted: int) -> float | None:
        """Edits a second; None until it has been measured. Never 0: one more may leave at any time."""
        if now < self.newer[0]:
            self.older = self.newer = (now, submitted)
        elif now - self.newer[0] > REMEMBERED:
            self.older, self.newer = self.newer, (now, submitted)
        since, before = self.older
        return (max(0, submitted - before) + 1) / (now - since) if now - since >= 1 else None


@dataclass(frozen=True, slots=True)
class Caps:
    """How many edits may wait, and whether Redis has no memory for more."""

    max_queued: int
    max_of_tenant: int | None = None
    no_memory: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """As the scripts take them."""
        return {
            "max_queued": self.max_queued,
            "max_of_tenant": self.max_of_tenant,
            "no_memory": int(self.no_memory) or None,
        }


class Admission:
    """Holds the caps of this process. `refused` counts its refusals by the answer's code."""

    def __init__(
        self,
        redis: Redis,
        *,
        max_queued: int,
        max_of_tenant: int | None,
        memory: MemoryCap,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_queued = max_queued
        self.max_of_tenant = max_of_tenant
        self.refused: Counter[str] = Counter()
        self._redis = redis
        self._memory = memory
        self._memory_used: float | None = None
        self._clock = clock
        self._looked = float("-inf")

    async def caps(self) -> Caps:
        return Caps(self.max_queued, self.max_of_tenant, no_memory=(await self.memory_used() or 0) >= 1)

    async def memory_used(self) -> float | None:
        """The share of its memory cap that Redis uses, at most a second old; None while it is unknown."""
        if self._clock() - self._looked >= LOOKS_EVERY:
            self._looked = self._clock()  # meanwhile other calls use the last answer
            try:
                info = await asyncio.wait_for(self._redis.info("memory"), LOOKS_WITHIN)
            except LOST:
                return self._memory_used
            cap = self._memory.of(int(info.get("maxmemory", 0)) or int(info.get("total_system_memory", 0)))
            self._memory_used = int(info.get("used_memory", 0)) / cap if cap else None
        return self._memory_used

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Around calls that may be refused."""
        try:
            yield
        except errors.QueueFull as exc:
            self.refused[exc.code] += 1
            raise


def no_memory() -> errors.QueueFull:
    return errors.QueueFull("Redis has no memory for more edits. Try again later.", retry_after=MEMORY_FREED_AFTER)


def refusal(answer: Verdict, caps: Caps, drain: Drain) -> errors.QueueFull:
    """The result of `crowded`, in words."""
    if answer["outcome"] == "no_memory":
        return no_memory()
    of_tenant = answer["outcome"] == "tenant_full"
    cap = (caps.max_of_tenant or 1) if of_tenant else caps.max_queued
    message = f"The queue is full: {cap} edits {'of this tenant ' if of_tenant else ''}are waiting. Try again later."
    error = errors.TenantQueueFull if of_tenant else errors.QueueFull
    return error(message, retry_after=drain.wait(answer, cap=cap))
