"""Engines as in worker processes. A carrier delivers their links as the broker and Celery would."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from config.settings import Settings
from edits.models import Step
from tests.integration.workers.rounds import Rounds
from workers.engine import Engine

ALL = list(Step)


@dataclass
class Carrier:
    """Delivers links, each in its own thread as Celery does, or loses them."""

    engine: Engine = field(init=False)
    sent: list[tuple[Step, int]] = field(default_factory=list)
    mode: Literal["carry", "lose", "away"] = "carry"

    def send_link(self, step: Step, number: int) -> bool:
        self.sent.append((step, number))
        if self.mode == "carry":
            threading.Thread(target=self._carry, args=(step, number), daemon=True).start()
        return self.mode != "away"

    def _carry(self, step: Step, number: int) -> None:
        with contextlib.suppress(TypeError):  # an error that a test provokes; Celery would log it
            self.engine.follow(step, number)

    async def one(self, step: Step, number: int) -> int | None:
        """Runs one link to its end."""
        running = asyncio.run_coroutine_threadsafe(self.engine.chains[step].run(number), self.engine.loop)
        return await asyncio.wrap_future(running)

    def running(self) -> list[Step]:
        return [step for step, chain in self.engine.chains.items() if chain.running]

    def free(self, step: Step) -> int:
        return self.engine.permits.free(step)


@contextlib.contextmanager
def process(
    settings: Settings, *, steps: list[Step] = ALL, mode: Literal["carry", "lose", "away"] = "carry"
) -> Iterator[Carrier]:
    """An engine as in a worker process."""
    carrier = Carrier(mode=mode)
    carrier.engine = Engine(settings, steps, send_link=carrier.send_link)
    carrier.engine.start()
    try:
        yield carrier
    finally:
        carrier.engine.stop()
        carrier.engine.close()


def process_of(carrier: Carrier) -> str:
    return carrier.engine.chains[Step.POLL].clients.registry.process


async def asleep(rounds: Rounds, step: Step) -> bool:
    count: int = await rounds.redis.zcard(rounds.key("idle", step))
    return count > 0


async def ended(rounds: Rounds, edit_id: str) -> bool:
    return (await rounds.edit(edit_id)).status.is_final
