"""Later work of the sandbox, in the order of its clock: one timer for any number of tasks."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

from qubico.sandbox.clock import Clock

LONGEST_NAP = 3600.0


class Timeline:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def at(self, moment: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._due, (moment, next(self._order), action))
        if self._due[0][0] == moment:
            self._arm()

    def wake(self) -> None:
        """Does the due work; called by the timer, and after the clock was pushed ahead."""
        now = self._clock.now()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        self._arm()

    def stop(self) -> None:
        self._due.clear()
        self._arm()

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._due:
            nap = min(max(self._due[0][0] - self._clock.now(), 0.0), LONGEST_NAP)
            self._timer = asyncio.get_running_loop().call_later(nap, self.wake)
