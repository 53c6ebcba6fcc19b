"""Watches the clock of Redis: if it jumps, the time of all edits goes on as before.

A process that was awake knows by a clock that cannot jump how long its own last look was ago. Scripts trust the
server's clock only as far as somebody looks (`_record.lua`), and a look that finds a gap says how long it really was.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from edits.db.constants import UNSEEN

log = structlog.get_logger()

EVERY: Final = 2.5  # seconds between two looks of a process that has something to ask; half of `UNSEEN`
SURE_WITHIN: Final = 1.0  # longest read of the clock in seconds: the moment of a slower one is unknown
SLACK: Final = 2.0, 0.001  # seconds, and share of the time between two looks, by which honest clocks may differ

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the first goes on while the machine sleeps


def boot_time() -> float:
    return time.clock_gettime(_CLOCK)


def ms(delta: timedelta) -> int:
    return round(delta.total_seconds() * 1000)


def reckon(server: Sequence[int], ahead: str | None, tick: str | None) -> int:
    """The scripts' NOW in ms, from the server's TIME, Key.CLOCK and Key.TICK."""
    seconds, microseconds = server
    raw = seconds * 1000 + microseconds // 1000
    seen, stepped = (int(part) for part in tick.split()) if tick else (raw, 0)
    return min(max(raw, seen), seen + UNSEEN) + stepped + int(ahead or 0)


@dataclass(slots=True)
class Watch:
    """One process's reads of the clock; `verdict`: its correction of a gap, sent with the next read."""

    _time: float = 0.0  # of edits, in ms, without what tests add
    _at: float | None = None  # boot time of the look that told it
    _next: float = 0.0
    verdict: dict[str, int] | None = None

    @property
    def due(self) -> bool:
        return boot_time() >= self._next

    def later(self) -> None:
        self._next = boot_time() + EVERY

    def told(self, raw: int, stepped: int, seen: int, *, sent: float, received: float) -> bool:
        """Takes the answer of a look (tick.lua); whether to look once more at once, as there was a gap to be judged."""
        self._next, self.verdict = received + EVERY, None
        if received - sent > SURE_WITHIN:
            if seen:
                self._next = received
            return False
        at = (sent + received) / 2
        if seen:
            jump = self._jump(raw, stepped, seen, at)
            self.verdict = {"seen": seen, "raw": raw, "jump": jump}
            stepped -= jump
        self._time, self._at = raw + stepped, at
        return bool(seen)

    def _jump(self, raw: int, stepped: int, seen: int, at: float) -> int:
        """Milliseconds by which the server's clock moved more than real time since the last read by any process."""
        jump = 0
        if self._at is not None:
            passed = (at - self._at) * 1000
            moved = raw + stepped - self._time
            fixed, share = SLACK
            if abs(moved - passed) > fixed * 1000 + share * passed:
                jump = round(moved - passed)
        if jump == 0 and raw < seen:  # the last read saw a later time, and time does not go back
            jump = raw - seen
        if jump:
            log.warning("clock.jumped", seconds=jump / 1000)
        return jump
