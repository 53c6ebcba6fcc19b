"""Tokens for requests to the provider that belong to no claim: single reads, and another slot for a late create."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from edits.ceilings import Ceilings
from edits.db.circuits import Operation
from edits.db.clock import boot_time, ms
from edits.db.scripts import Script
from edits.db.sender import Scripts
from edits.pacing.slots import SlotClock

LOOKAHEAD: Final = timedelta(milliseconds=200)  # how far ahead time slots are given out
NEW_SLOT_WITHIN: Final = timedelta(seconds=1)  # the same for a create that missed its slot; its new one is the last


_TOKENS: Final[Script[tuple[str, int, int]]] = Script("tokens", tuple)


class CircuitOpen(Exception):
    """The operation does not work now, and another request tries whether it does again."""


@dataclass(slots=True)
class RequestTokens:
    """`slots`: the server's time on this process's clock, shared with the claims that give out slots."""

    scripts: Scripts
    ceilings: Ceilings
    slots: SlotClock = field(default_factory=SlotClock)

    async def read(self, operation: Operation = "read") -> bool:
        """Waits until one read that belongs to no claim may be sent. Returns whether it is the probe.

        Raises CircuitOpen.
        """
        while True:
            answer, delay, _ = await self._take("read", operation, LOOKAHEAD)
            await asyncio.sleep(delay / 1000)
            if answer != "wait":
                return answer == "half"

    async def new_slot(self) -> tuple[float, bool]:
        """Another slot for a create that missed its own, by `boot_time`, and whether it is the probe.

        Raises CircuitOpen.
        """
        sent = boot_time()
        answer, delay, now = await self._take("create", "create", NEW_SLOT_WITHIN)
        if answer == "wait":
            raise CircuitOpen("create")
        return self.slots.heard(now, sent=sent, received=boot_time()) + delay / 1000, answer == "half"

    async def _take(self, name: str, operation: Operation, lookahead: timedelta) -> tuple[str, int, int]:
        """The outcome, ms to the slot, and the time of Redis (ms). Raises CircuitOpen."""
        ceiling = f"{name}s_per_second"
        rate = self.ceilings.by_name()[ceiling]
        found = await self.scripts.run(
            _TOKENS, name=name, operation=operation, ceiling=ceiling, rate=rate, lookahead=ms(lookahead)
        )
        if found[0] == "open":
            raise CircuitOpen(operation)
        return found
