"""The pace of reads as learned by the cluster, refreshed every few seconds while in use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from edits.db.clock import boot_time
from edits.db.connection import LOST
from edits.db.repository import EditRepository
from edits.pacing import pace
from edits.pacing.pace import Pace

log = structlog.get_logger()

LEARNED_EVERY: Final = 5.0  # seconds
GUESSED: Final = Pace.learned([])


@dataclass(slots=True)
class Paces:
    """One pace for each number of steps. While the read limit delays reads, all gaps grow by one factor."""

    repository: EditRepository
    clock: Callable[[], float] = boot_time
    throttle: float = 1.0
    _paces: dict[int, Pace] = field(default_factory=dict)
    _learned_at: dict[int, float] = field(default_factory=dict)
    _claimed_at: float = field(default_factory=boot_time)

    async def of(self, steps: int) -> Pace:
        now = self.clock()
        if now - self._learned_at.get(steps, float("-inf")) > LEARNED_EVERY:
            self._learned_at[steps] = now  # meanwhile calls use the earlier pace
            await self._learn(steps)
        return self._paces.get(steps, GUESSED).throttled(self.throttle)

    def claimed(self, *, late: float) -> None:
        """Reads were claimed. `late`: seconds that reads held back by the limit are overdue."""
        now = self.clock()
        self.throttle = pace.throttle(self.throttle, late=late, elapsed=now - self._claimed_at)
        self._claimed_at = now

    async def _learn(self, steps: int) -> None:
        try:
            took = await self.repository.took(steps)
        except LOST as exc:
            log.warning("pace.not_learned", cause=type(exc).__name__)
        else:
            self._paces[steps] = Pace.learned(took)
