"""Whether this process still gets messages: when none came for a while it sends one to itself, by its own queue.

It comes back only through a broker, a consumer and a thread that work. A broker that is away excuses the consumer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workers.clients import Clients

if TYPE_CHECKING:
    from workers.engine import Engine

CONSUMER: Final = "consumer"
COMES_BACK_WITHIN: Final = 35.0
"""Seconds, ample: the consumer looks for its broker every 2 s, and a look may hang for 7."""

BEGINS_WITHIN: Final = 8.0
"""Seconds from the start of the engine until the consumer takes messages, of a broker that is there."""


@dataclass(slots=True)
class Pulse:
    engine: "Engine"

    async def send(self, _clients: Clients) -> None:
        watch, send_pulse = self.engine.watch, self.engine.send_pulse
        if send_pulse is None:
            return
        watch.moved(CONSUMER, leave=BEGINS_WITHIN)
        await self._ask(send_pulse)
        while not self.engine.stopping:
            await asyncio.sleep(watch.limit / 6)
            if watch.quiet_for(CONSUMER) >= watch.limit / 3:
                await self._ask(send_pulse)
        watch.forget(CONSUMER)

    async def _ask(self, send_pulse: Callable[[], bool]) -> None:
        if not await asyncio.to_thread(send_pulse):
            self.engine.watch.moved(CONSUMER, leave=COMES_BACK_WITHIN)
