"""Waiting for edits to end: one subscription a process, many waiters. A message only says "look"; the record tells."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Final

import structlog

from edits.db.repository import EditRepository
from edits.errors import Unavailable
from edits.models import Edit

log = structlog.get_logger()

UNHEARD: Final = 1.0
"""Seconds between looks while the subscription is down; also between tries to have it back."""

HEARD: Final = 10.0
"""Seconds between looks while it is up: pub/sub may lose a message without telling."""


class Live:
    def __init__(self, repository: EditRepository, *, grace: timedelta) -> None:
        self._repository = repository
        self._grace = grace.total_seconds()
        self._drained_at = 0.0
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._ending = asyncio.Event()
        self.listening = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        listener = asyncio.create_task(self._listen(), name="live")
        try:
            yield
        finally:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener

    @property
    def draining(self) -> bool:
        return self._ending.is_set()

    @property
    def late(self) -> bool:
        """Half of the grace is over: what has not wholly arrived by now would be cut."""
        return self.draining and time.monotonic() - self._drained_at > self._grace / 2

    def drain(self) -> None:
        """The process is about to end: whoever waits is answered now; what comes over open connections is served."""
        if not self.draining:
            self._drained_at = time.monotonic()
        self._ending.set()
        self._wake_all()

    async def until_ended(self, edit: Edit, look: Callable[[], Awaitable[Edit]], *, seconds: float) -> Edit:
        """The edit once it has ended, or as it stands after `seconds`, or as last seen if Redis goes away meanwhile."""
        until = asyncio.get_running_loop().time() + seconds
        with self._told_about(edit.id) as told:
            while not edit.status.is_final and not self._ending.is_set():
                try:
                    edit = await look()
                except Unavailable:
                    break
                left = until - asyncio.get_running_loop().time()
                if edit.status.is_final or left <= 0:
                    break
                await self._pause(told, min(left, HEARD if self.listening else UNHEARD))
        return edit

    async def _pause(self, told: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), seconds)
        told.clear()

    @contextlib.contextmanager
    def _told_about(self, edit_id: str) -> Iterator[asyncio.Event]:
        told = asyncio.Event()
        self._waiting[edit_id].add(told)
        try:
            yield told
        finally:
            self._waiting[edit_id].discard(told)
            if not self._waiting[edit_id]:
                del self._waiting[edit_id]

    async def _listen(self) -> None:
        while True:
            try:
                async for edit_id in self._repository.ended():
                    self._hear(edit_id)
            except Unavailable:
                log.info("live.lost")
            except Exception:
                log.exception("live.failed")
            self.listening = False
            self._wake_all()
            await asyncio.sleep(UNHEARD)

    def _hear(self, edit_id: str) -> None:
        if edit_id:
            for told in self._waiting.get(edit_id, ()):
                told.set()
        else:  # listening has just begun: what ended before was not heard
            self.listening = True
            self._wake_all()

    def _wake_all(self) -> None:
        for waiters in self._waiting.values():
            for told in waiters:
                told.set()
