"""Ended edits leave Redis after RETOUCH_EDITS__HOT, and the storage RETOUCH_EDITS__RETENTION after their day.

Nothing leaves Redis before its manifest is written, and no object is deleted of an edit that has a record.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from uuid import uuid4

import structlog

from edits.db.clock import ms
from edits.db.scripts import Script, nothing
from edits.db.sender import Scripts
from edits.models import from_ms
from edits.storage import layout
from edits.storage.store import Storage, StorageError

log = structlog.get_logger()

EVICTED_AT_ONCE: Final = 50  # some 2 ms of Redis
LOOK_AGAIN: Final = timedelta(minutes=10)  # at an edit that cannot leave Redis yet
DELETED_AT_ONCE: Final = 250
SLICE: Final = 1.0  # seconds after which a slice goes no further
LONGEST_SLICE: Final = 10.0  # seconds, when the storage hangs
NEXT_ROUND: Final = timedelta(minutes=30)
AFTER_TROUBLE: Final = timedelta(minutes=1)
ONE_DAY: Final = timedelta(days=1)


class Turn(NamedTuple):
    """This process deletes old objects now, from this day on ("": from the first)."""

    now: int  # ms, by the clock of Redis
    day: str


def _turn(reply: str) -> Turn | None:
    found = json.loads(reply)
    return Turn(**found) if found else None


_EVICT: Final = Script("evict", int)
_CLAIM: Final = Script("purge", _turn, op="claim")
_KEPT: Final[Script[list[str]]] = Script("purge", list, op="kept")
_LEAVE: Final = Script("purge", nothing, op="leave")


def _local_time() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Retention:
    scripts: Scripts
    storage: Storage
    hot: timedelta
    retention: timedelta
    lease: timedelta
    clock: Callable[[], datetime] = field(default=_local_time)

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
        if turn is None:
            return False
        # Deletion is final, so both clocks must agree that the time is over.
        now = min(from_ms(turn.now), self.clock())
        last = (now - self.retention).date() - ONE_DAY
        day: date | None = None
        again = NEXT_ROUND
        try:
            async with asyncio.timeout(LONGEST_SLICE):
                day = await self._delete_days(turn.day, last)
        except (StorageError, TimeoutError) as exc:
            log.warning("retention.not_purged", cause=type(exc).__name__)
            again = AFTER_TROUBLE
        leave = {"again": ms(again)} if day is None else {"day": day.isoformat()}
        await self.scripts.run(_LEAVE, nonce=nonce, **leave)
        return day is not None

    async def _delete_days(self, first: str, last: date) -> date | None:
        """Deletes from the day `first` on, up to the day `last`; returns the day to go on with, None after the last."""
        began = time.monotonic()
        async for day in self._days(date.fromisoformat(first) if first else date.min, last):
            deleted = 0
            async for keys in self._old_keys(day):
                await self.storage.delete(keys)
                deleted += len(keys)
                if time.monotonic() - began > SLICE:
                    log.info("retention.purging", day=day.isoformat(), objects=deleted)
                    return day
            log.info("retention.purged", day=day.isoformat(), objects=deleted)
        return None

    async def _days(self, first: date, last: date) -> AsyncIterator[date]:
        """The days from `first` to `last` that have a folder, oldest first."""
        begin, end = first.isoformat(), last.isoformat()
        for year in await self._numbers("edits"):
            if not begin[:4] <= year <= end[:4]:
                continue
            for month in await self._numbers(f"edits/{year}"):
                if not begin[:7] <= f"{year}-{month}" <= end[:7]:
                    continue
                for number in await self._numbers(f"edits/{year}/{month}"):
                    day = _date(f"{year}-{month}-{number}")
                    if day is not None and first <= day <= last:
                        yield day

    async def _numbers(self, prefix: str) -> list[str]:
        return [name for name in await self.storage.folders(prefix) if re.fullmatch(r"[0-9]+", name)]

    async def _old_keys(self, day: date) -> AsyncIterator[list[str]]:
        """The keys of a day's objects, some at a time, without those of edits that have a record."""
        page: list[str] = []
        async for info in self.storage.list(layout.day_folder(day)):
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
        kept = await self.scripts.run(_KEPT, ids=sorted(set(owners.values())))
        return [key for key, edit_id in owners.items() if edit_id not in kept]


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
