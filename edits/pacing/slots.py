"""Converts send slots to this process's own clock, so that a slot means the same moment in every process.

The server's time lies between request and response; each response narrows the offset of the two clocks.
"""

from dataclasses import dataclass
from typing import Final

DRIFT: Final = 0.001  # seconds a second by which the two clocks may drift apart
TICK: Final = 0.001  # the server's time comes in whole milliseconds, rounded down

GOOD_FOR: Final = 0.05
"""Seconds after its moment in which a slot may be used. Later creates would bunch with the next: providers take a burst
of 0.1 s of their rate, and network jitter needs a part of that."""


@dataclass(slots=True)
class SlotClock:
    """Bounds of our clock less the server's, in seconds."""

    _least: float = float("-inf")
    _most: float = float("inf")
    _told: float = 0.0

    def heard(self, now_ms: int, *, sent: float, received: float) -> float:
        """The server's clock showed `now_ms` at some time from `sent` to `received` (seconds) on ours.

        Returns the latest time on our clock for that moment.
        """
        now = now_ms / 1000
        drifted = DRIFT * max(0.0, received - self._told)
        least = max(self._least - drifted, sent - now - TICK)
        most = min(self._most + drifted, received - now)
        if least > most:  # one of the clocks was set
            least, most = sent - now - TICK, received - now
        self._least, self._most, self._told = least, most, received
        return now + self._most
