"""Celery tasks by which a test breaks the worker that runs them: `celery … worker -I tests.parts.wedges`.

Each is given the limit of a stall in seconds, as it is counted from then on.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import structlog
from celery import shared_task
from kombu.asynchronous import get_event_loop

from edits.models import Step
from workers import app as worker
from workers.steps.work import StepWork

log = structlog.get_logger()

FOR_LONG = 600.0


def _hasten(limit: float) -> None:
    """Shortens the limit of a stall, from now on."""
    watch = worker._engine.watch
    watch.limit = limit
    watch.excuse()


@shared_task(name="wedge.none")
def wedge_none(limit: float) -> None:
    """Sets the short limit and does nothing else."""
    _hasten(limit)
    log.info("wedge.hastened")


@shared_task(name="wedge.loop")
def wedge_loop(limit: float) -> None:
    """Blocks the engine's event loop."""
    worker._engine.loop.call_soon_threadsafe(time.sleep, FOR_LONG)
    _hasten(limit)


@shared_task(name="wedge.consumer")
def wedge_consumer(limit: float) -> None:
    """Blocks Celery's loop: process and engine run, and no message is consumed."""
    get_event_loop().call_soon(time.sleep, FOR_LONG)
    _hasten(limit)


@dataclass
class _Never:
    work: StepWork

    def __getattr__(self, name: str) -> Any:
        return getattr(self.work, name)

    async def claim(self, _most: int) -> Any:
        await asyncio.Event().wait()


@shared_task(name="wedge.chain")
def wedge_chain(limit: float) -> None:
    """A claim of step poll never returns."""
    engine = worker._engine
    engine.chains[Step.POLL].work = _Never(engine.chains[Step.POLL].work)
    engine.loop.call_soon_threadsafe(engine.wake_all)
    _hasten(limit)


@shared_task(name="wedge.pool")
def wedge_pool(limit: float) -> None:
    """Occupies one thread of the pool for ever."""
    _hasten(limit)
    time.sleep(FOR_LONG)
