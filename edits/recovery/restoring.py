"""State of the data-loss check after Redis was restored, rolled back or failed over (_served.lua)."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from redis.asyncio import Redis

from edits.db import records
from edits.db.clock import ms
from edits.db.connection import LOST, answering
from edits.db.keys import Key
from edits.db.scripts import Script, is_ok
from edits.db.sender import Scripts
from edits.errors import Unavailable
from edits.models import EditInput, from_ms

_BATCH: Final = 200
BUYING: Final = ("submit", "adopt", "poll", "store")  # due-sets out of which an edit may come back to the queue


@dataclass(frozen=True, slots=True)
class Doubt:
    """Writes since `mark` may be missing; noticed at `shut`, when no stored edit was later than `newest`.

    Purchases before `settled` are found. Times are milliseconds by the clock of Redis.
    """

    shut: int
    mark: int
    settled: int
    now: int
    newest: str


def _doubt(reply: str) -> Doubt | None:
    found = json.loads(reply)
    return Doubt(**found) if found else None


_CLAIM: Final = Script("restored", _doubt, op="claim")
_UNKNOWN: Final = Script("restored", lambda reply: bool(reply == "new"), op="unknown")
_GIVE_UP: Final = Script("restored", is_ok, op="give_up")
_SETTLE: Final = Script("restored", is_ok, op="settle")
_OPEN: Final = Script("restored", is_ok, op="open")


@dataclass(frozen=True, slots=True)
class Restoring:
    redis: Redis
    namespace: str
    scripts: Scripts
    process: str

    async def claim(self, *, lease: timedelta) -> Doubt | None:
        """The check for this process to end; None if there is none, or another process works on it."""
        return await self.scripts.run(_CLAIM, process=self.process, lease=ms(lease))

    async def unknown(self, task_id: str, edit_id: str) -> bool:
        """Stores a paid task of a missing edit; returns whether it is new."""
        return await self.scripts.run(_UNKNOWN, task=task_id, id=edit_id)

    async def give_up(self, edit_id: str, message: str) -> bool:
        """A queued edit that may have been bought is not bought again. False if it is not queued."""
        return await self.scripts.run(_GIVE_UP, id=edit_id, message=message)

    async def settle(self, doubt: Doubt, upto: int) -> bool:
        """All earlier purchases are recorded: the next process continues there. False as for `open`."""
        return await self.scripts.run(_SETTLE, process=self.process, shut=doubt.shut, upto=upto)

    async def open(self, doubt: Doubt, *, only_if_idle: bool = False) -> bool:
        """Resumes submission. `only_if_idle`: unless an edit from before may be bought, or bought again.

        False also if there is another doubt by now, or another process that settles it.
        """
        return await self.scripts.run(_OPEN, process=self.process, shut=doubt.shut, idle=int(only_if_idle))

    async def unfinished(self, doubt: Doubt) -> AsyncIterator[tuple[str, EditInput]]:
        """The edits that were here when the doubt arose and may be bought, or bought again. Raises Unavailable."""
        try:
            tenants = map(str, await self.redis.zrange(Key.TENANTS.of(self.namespace), 0, -1))
            # In the order in which an edit may move meanwhile.
            for line in [
                *(Key.DUE.of(self.namespace, step) for step in BUYING),
                *(Key.QUEUE.of(self.namespace, tenant) for tenant in tenants),
            ]:
                ids = [edit_id for edit_id in map(str, await self.redis.zrange(line, 0, -1)) if edit_id <= doubt.newest]
                for start in range(0, len(ids), _BATCH):
                    some = ids[start : start + _BATCH]
                    texts = await self.redis.mget([Key.INPUT.of(self.namespace, edit_id) for edit_id in some])
                    for edit_id, text in zip(some, texts, strict=True):
                        if text:
                            yield edit_id, records.read_input(str(text))
        except LOST as exc:
            raise Unavailable("Redis does not answer.") from exc


@dataclass(frozen=True, slots=True)
class Told:
    """For doctor. `since`: shut since then; `unknown`: paid tasks and their edits, which are not here, newest first."""

    since: datetime | None
    awaited: int
    lost: bool
    unknown: tuple[str, ...]


async def look(redis: Redis, namespace: str) -> Told:
    """Raises Unavailable."""
    pipe = redis.pipeline(transaction=False)
    pipe.hmget(Key.DOUBT.of(namespace), ["shut", "lost"])
    pipe.zcard(Key.AWAITED.of(namespace))
    pipe.zrevrange(Key.UNKNOWN.of(namespace), 0, -1)
    async with answering():
        (shut, lost), awaited, unknown = await pipe.execute()
    return Told(from_ms(int(shut)) if shut else None, awaited, lost == "1", tuple(unknown))
