"""Celery tasks by which a test breaks the worker that runs them: `celery … worker -I tests.parts.wedges`."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from celery import shared_task
from kombu.asynchronous import get_event_loop

from edits.schedule import Step
from workers import app as worker
from workers.engine import StepWork

FOR_LONG = 600.0


@shared_task(name="wedge.loop")
def wedge_loop() -> None:
    """The engine's loop is held by something that blocks."""
    worker._engine.loop.call_soon_threadsafe(time.sleep, FOR_LONG)


@shared_task(name="wedge.consumer")
def wedge_consumer() -> None:
    """Celery's own loop hangs: the process lives, its engine runs on, and no message is taken any more."""
    get_event_loop().call_soon(time.sleep, FOR_LONG)


@dataclass
class _Never:
    step: StepWork

    def __getattr__(self, name: str) -> Any:
        return getattr(self.step, name)

    async def claim(self, _most: int) -> Any:
        await asyncio.Event().wait()


@shared_task(name="wedge.chain")
def wedge_chain() -> None:
    """A claim of step poll never comes back."""

    engine = worker._engine
    engine.work[Step.POLL] = _Never(engine.work[Step.POLL])
    engine.loop.call_soon_threadsafe(engine.wake_all)


@shared_task(name="wedge.pool")
def wedge_pool() -> None:
    """A thread of the pool is lost."""
    time.sleep(FOR_LONG)
