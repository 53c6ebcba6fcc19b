"""When a time slot is, on this process's own clock: every process means the same moment, however late it heard of it.

What the server said the time was lies between asking and hearing; each answer narrows where its clock lies on ours.
"""

from dataclasses import dataclass
from typing import Final

DRIFT: Final = 0.001
"""Seconds a second by which the two clocks may part."""

TICK: Final = 0.001
"""The server's time comes in whole milliseconds, rounded down."""

GOOD_FOR: Final = 0.05
"""Seconds after its moment in which a slot may be used. Later ones would bunch with the next: providers take a burst of
0.1 s of their rate, and the network wants its share of that."""


@dataclass(slots=True)
class SlotClock:
    """Bounds of our clock less the server's, in seconds."""

    _least: float = float("-inf")
    _most: float = float("inf")
    _told: float = 0.0

    def told(self, now: float, *, sent: float, received: float) -> None:
        """The server's clock stood at `now` at some moment of ours from `sent` to `received`."""
        drifted = DRIFT * max(0.0, received - self._told)
        least = max(self._least - drifted, sent - now - TICK)
        most = min(self._most + drifted, received - now)
        if least > most:  # one of the clocks was set
            least, most = sent - now - TICK, received - now
        self._least, self._most, self._told = least, most, received

    def ours(self, moment: float) -> float:
        """The latest that this moment of the server's can be on our clock."""
        return moment + self._most

    def heard(self, now_ms: int, *, sent: float, received: float) -> float:
        """Takes an answer's time of the server (ms). Returns the latest that it can be on our clock."""
        self.told(now_ms / 1000, sent=sent, received=received)
        return self.ours(now_ms / 1000)
