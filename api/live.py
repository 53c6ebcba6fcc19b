"""Waits for edits to end: one subscription per process. A message is only a hint; the record is read."""

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
"""Seconds between reads while the subscription is down, and between attempts to restore it."""

HEARD: Final = 10.0
"""Seconds between reads while it is up: pub/sub may lose messages."""


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
        """Half of the grace is over: a body that is still arriving would be cut."""
        return self.draining and time.monotonic() - self._drained_at > self._grace / 2

    def drain(self) -> None:
        """The process is about to end: answers waiting calls now; requests on open connections are still served."""
        if not self.draining:
            self._drained_at = time.monotonic()
        self._ending.set()
        self._wake_all()

    async def until_ended(self, edit: Edit, read: Callable[[], Awaitable[Edit]], *, seconds: float) -> Edit:
        """The edit once it has ended, or as it is after `seconds`, or as last read if Redis goes away."""
        until = asyncio.get_running_loop().time() + seconds
        with self._subscribed(edit.id) as changed:
            while not edit.status.is_final and not self._ending.is_set():
                try:
                    edit = await read()
                except Unavailable:
                    break
                left = until - asyncio.get_running_loop().time()
                if edit.status.is_final or left <= 0:
                    break
                await self._pause(changed, min(left, HEARD if self.listening else UNHEARD))
        return edit

    async def _pause(self, changed: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), seconds)
        changed.clear()

    @contextlib.contextmanager
    def _subscribed(self, edit_id: str) -> Iterator[asyncio.Event]:
        changed = asyncio.Event()
        self._waiting[edit_id].add(changed)
        try:
            yield changed
        finally:
            self._waiting[edit_id].discard(changed)
            if not self._waiting[edit_id]:
                del self._waiting[edit_id]

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
        if edit_id:
            for changed in self._waiting.get(edit_id, ()):
                changed.set()
        else:  # just subscribed: ends before this were missed
            self.listening = True
            self._wake_all()

    def _wake_all(self) -> None:
        for waiters in self._waiting.values():
            for changed in waiters:
                changed.set()
