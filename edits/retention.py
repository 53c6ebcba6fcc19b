"""Ended edits leave Redis after RETOUCH_EDITS__HOT, and the storage RETOUCH_EDITS__RETENTION after their day.

Nothing leaves Redis before its manifest is written, and no object is deleted of an edit that has a record.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypedDict
from uuid import uuid4

import structlog

from edits.db.clock import ms
from edits.db.records import READ
from edits.db.scripts import Script, nothing, parsed
from edits.db.sender import Scripts
from edits.models import from_ms
from edits.storage import layout
from edits.storage.backends import StorageError
from edits.storage.store import Storage

log = structlog.get_logger()

EVICTED_AT_ONCE: Final = 50  # some 2 ms of Redis
LOOK_AGAIN: Final = timedelta(minutes=10)  # at an edit that cannot leave Redis yet
DELETED_AT_ONCE: Final = 250
SLICE: Final = 1.0  # seconds after which a slice goes no further
LONGEST_SLICE: Final = 10.0  # seconds, when the storage hangs
NEXT_ROUND: Final = timedelta(minutes=30)
AFTER_TROUBLE: Final = timedelta(minutes=1)
ONE_DAY: Final = timedelta(days=1)
DAY: Final = re.compile(r"[0-9]{4}(-[0-9]{2}){0,2}")  # also the beginning of one


class Turn(TypedDict):
    """This process deletes old objects now, from this day on ("": from the first). Empty: another one does."""

    now: int  # ms, by the clock of Redis
    day: str


_EVICT: Final = Script("evict", int)
_CLAIM: Final[Script[Turn]] = Script("purge", parsed, op="claim")
_LEAVE: Final = Script("purge", nothing, op="leave")


@dataclass(slots=True)
class Retention:
    scripts: Scripts
    storage: Storage
    hot: timedelta
    retention: timedelta
    lease: timedelta
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    async def slice(self) -> bool:
        """Does a slice of both; returns whether more is due now."""
        more = await self.evict()
        return await self.purge() or more

    async def evict(self) -> bool:
        """Some ended edits leave Redis. Each call is one script, so that any number of processes may do it at once."""
        # A worker that wrote an outdated manifest says so within its lease, and the edit is due to be written again.
        hot = max(self.hot, self.lease)
        looked_at = await self.scripts.run(_EVICT, k=EVICTED_AT_ONCE, hot=ms(hot), later=ms(LOOK_AGAIN))
        return looked_at == EVICTED_AT_ONCE

    async def purge(self) -> bool:
        """Deletes some objects after their retention, in one process at a time."""
        nonce = uuid4().hex
        turn = await self.scripts.run(_CLAIM, nonce=nonce, lease=ms(self.lease))
        if not turn:
            return False
        # Deletion is final, so both clocks must agree that the time is over.
        now = min(from_ms(turn["now"]), self.clock())
        last = (now - self.retention - ONE_DAY).date()
        day, again = None, NEXT_ROUND
        try:
            async with asyncio.timeout(LONGEST_SLICE):
                day = await self._delete_days(turn["day"], last.isoformat())
        except (StorageError, TimeoutError) as exc:
            log.warning("retention.not_purged", cause=type(exc).__name__)
            again = AFTER_TROUBLE
        leave = {"again": ms(again)} if day is None else {"day": day}
        await self.scripts.run(_LEAVE, nonce=nonce, **leave)
        return day is not None

    async def _delete_days(self, first: str, last: str) -> str | None:
        """Deletes from the day `first` on, up to the day `last`; returns the day to go on with, None after the last."""
        began = time.monotonic()
        async for day in self._days(first, last):
            deleted = 0
            async for keys in self._old_keys(day):
                await self.storage.delete(keys)
                deleted += len(keys)
                if time.monotonic() - began > SLICE:
                    log.info("retention.purging", day=day, objects=deleted)
                    return day
            log.info("retention.purged", day=day, objects=deleted)
        return None

    async def _days(self, first: str, last: str, *above: str) -> AsyncIterator[str]:
        """The days from `first` to `last` that have a folder, oldest first; `above`: the year and month looked in."""
        for number in await self.storage.folders("/".join(("edits", *above))):
            day = "-".join((*above, number))
            if not DAY.fullmatch(day) or not first[: len(day)] <= day <= last[: len(day)]:
                continue
            if len(above) == 2:
                yield day
            else:
                async for below in self._days(first, last, *above, number):
                    yield below

    async def _old_keys(self, day: str) -> AsyncIterator[list[str]]:
        """The keys of a day's objects, some at a time, without those of edits that have a record."""
        page: list[str] = []
        async for info in self.storage.list("edits/" + day.replace("-", "/")):
            page.append(info.key)
            if len(page) == DELETED_AT_ONCE:
                if keys := await self._without_records(page):
                    yield keys
                page = []
        if keys := await self._without_records(page):
            yield keys

    async def _without_records(self, keys: list[str]) -> list[str]:
        """Other objects than those of edits are never deleted."""
        owners = {key: edit_id for key in keys if (edit_id := layout.edit_of(key)) is not None}
        if not owners:
            return []
        ids = sorted(set(owners.values()))
        rows = await self.scripts.run(READ, ids=ids)
        kept = {edit_id for edit_id, row in zip(ids, rows, strict=True) if row}
        return [key for key, edit_id in owners.items() if edit_id not in kept]
