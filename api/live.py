"""Waits for edits to end: one subscription per process. A message is only a hint; the record is read."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Final
from weakref import WeakValueDictionary

import structlog

from edits.db.repository import EditRepository
from edits.errors import Unavailable
from edits.models import Edit

log = structlog.get_logger()

UNHEARD: Final = 1.0  # seconds between reads while the subscription is down, and between attempts to restore it
HEARD: Final = 10.0  # seconds between reads while it is up: pub/sub may lose messages


class Live:
    def __init__(self, repository: EditRepository, *, grace: timedelta) -> None:
        self._repository = repository
        self._grace = grace.total_seconds()
        self._drained_at: float | None = None
        self._changes: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        """By edit id; each is set once, at the next hint. Those that wait hold it."""
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
        return self._drained_at is not None

    @property
    def late(self) -> bool:
        """Half of the grace is over: a body that is still arriving would be cut."""
        return self._drained_at is not None and time.monotonic() - self._drained_at > self._grace / 2

    def drain(self) -> None:
        """The process is about to end: answers waiting calls now; requests on open connections are still served."""
        if self._drained_at is None:
            self._drained_at = time.monotonic()
        self._wake_all()

    async def until_ended(self, edit: Edit, read: Callable[[], Awaitable[Edit]], *, seconds: float) -> Edit:
        """The edit once it has ended, or as it is after `seconds`, or as last read if Redis goes away."""
        until = time.monotonic() + seconds
        while not edit.status.is_final and not self.draining:
            changed = self._changes.setdefault(edit.id, asyncio.Event())  # before the read: no hint after it is missed
            try:
                edit = await read()
            except Unavailable:
                break
            left = until - time.monotonic()
            if edit.status.is_final or left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(left, HEARD if self.listening else UNHEARD))
        return edit

    async def _listen(self) -> None:
        while True:
            try:
                async for edit_id in self._repository.ended():
                    self._heard(edit_id)
            except Unavailable:
                log.info("live.lost")
            except Exception:
                log.exception("live.failed")
            self.listening = False
            self._wake_all()
            await asyncio.sleep(UNHEARD)

    def _heard(self, edit_id: str) -> None:
        if not edit_id:  # just subscribed: ends before this were missed
            self.listening = True
            self._wake_all()
        elif changed := self._changes.pop(edit_id, None):
            changed.set()

    def _wake_all(self) -> None:
        for edit_id in list(self._changes):
            self._heard(edit_id)
