"""Redis was restored, rolled back or failed over: what is known of it, and how it is settled (_served.lua)."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from edits import records
from edits.errors import Unavailable
from edits.models import EditInput, from_ms
from edits.repository import CALL_TIMEOUT
from edits.scripting import Scripts

_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Doubt:
    """Since `mark` something may be missing; that was noticed at `shut`, when no edit later than `newest` was here.

    Moments are milliseconds by the clock of Redis.
    """

    shut: int
    mark: int
    now: int
    newest: str


@dataclass(frozen=True, slots=True)
class Restoring:
    redis: Redis
    namespace: str
    scripts: Scripts
    process: str

    async def claim(self, *, lease: timedelta) -> Doubt | None:
        """The doubt to be settled by this process; None if there is none, or another process works on it."""
        text = await self.scripts.run(
            "restored", op="claim", process=self.process, lease=round(lease.total_seconds() * 1000)
        )
        found = json.loads(text)
        return Doubt(**found) if found else None

    async def unknown(self, task_id: str, edit_id: str) -> bool:
        """Keeps a paid task of an edit that is not here; whether it was not known before."""
        return bool(await self.scripts.run("restored", op="unknown", task=task_id, id=edit_id) == "new")

    async def give_up(self, edit_id: str, message: str) -> bool:
        """A queued edit that may have been bought is not bought again."""
        return bool(await self.scripts.run("restored", op="doubt", id=edit_id, message=message) == "ok")

    async def open(self, doubt: Doubt) -> bool:
        """All that was bought is found and taken. False if Redis was restored once more in the meantime."""
        return bool(await self.scripts.run("restored", op="open", process=self.process, shut=doubt.shut) == "ok")

    async def queued(self, doubt: Doubt) -> dict[str, EditInput]:
        """The edits that were queued when the doubt arose, and what each of them asks for. Raises Unavailable."""
        found: dict[str, EditInput] = {}
        try:
            for tenant in await self.redis.zrange(self._key("tenants"), 0, -1):
                line = await self.redis.zrange(self._key("q", str(tenant)), 0, -1)
                ids = [edit_id for edit_id in map(str, line) if edit_id <= doubt.newest]
                for some in _batched(ids, _BATCH):
                    texts = await self.redis.mget([self._key("i", edit_id) for edit_id in some])
                    found |= {i: records.read_input(str(text)) for i, text in zip(some, texts, strict=True) if text}
        except (RedisError, OSError, TimeoutError) as exc:
            raise Unavailable("Redis does not answer.") from exc
        return found

    def _key(self, *parts: str) -> str:
        return ":".join([self.namespace, *parts])


def _batched(ids: list[str], most: int) -> Iterator[list[str]]:
    return (ids[start : start + most] for start in range(0, len(ids), most))


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
    pipe.hmget(f"{namespace}:served", ["shut", "lost"])
    pipe.zcard(f"{namespace}:awaited")
    pipe.zrevrange(f"{namespace}:unknown", 0, -1)
    try:
        (shut, lost), awaited, unknown = await asyncio.wait_for(pipe.execute(), CALL_TIMEOUT)
    except (RedisError, OSError, TimeoutError) as exc:
        raise Unavailable("Redis does not answer.") from exc
    return Told(from_ms(int(shut)) if shut else None, awaited, lost == "1", tuple(unknown))
