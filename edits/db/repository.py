"""Edits in Redis for those who ask: accept, read, list, cancel, retry. Every change is one call of one script."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Final

from redis.asyncio import Redis

from edits import errors, fairness
from edits.db import admission, circuits, records
from edits.db.acceptance import Acceptance, Accepted, Asked, Idempotency, LeftRedis, Taken, reused
from edits.db.admission import Caps
from edits.db.coalescing import Together
from edits.db.connection import LOST, answering
from edits.db.keys import Key
from edits.db.records import READ
from edits.db.scripts import Argument, Script, T, nothing, parsed
from edits.db.sender import BatchFailed, NewerRecord, ReplyLost, ScriptError, Scripts, Unsent
from edits.db.trouble import explain
from edits.models import Edit, Priority, TimelineEvent
from edits.pacing.pace import Took

_CANCEL: Final = Script("cancel", str)
_NUDGE: Final = Script("nudge", nothing)
_RETRY: Final = Script("retry", str)
_ROOM: Final[Script[admission.Verdict]] = Script("room", parsed)


class EditRepository:
    def __init__(self, redis: Redis, *, namespace: str, scripts: Scripts | None = None) -> None:
        self.redis = redis
        self.namespace = namespace
        self.scripts = scripts or Scripts(redis, namespace)
        self._acceptance = Acceptance(self._ask, self.get_many)
        self._together = Together(self._acceptance.many)

    async def accept(self, edit: Edit, idempotency: Idempotency | None, caps: Caps) -> Accepted:
        """Takes `edit` in, once. Raises QueueFull, IdempotencyKeyReused, Unavailable (not taken), AcceptUnknown.

        LeftRedis where the key stands for an edit that is no longer here.
        """
        taken = await self._together.take_in((edit, idempotency), caps)
        if isinstance(taken, Exception):
            raise taken
        return taken

    async def accept_many(self, asked: Sequence[Asked], caps: Caps) -> list[Taken]:
        """Takes edits in, in their order, as `accept` does one: what it would raise stands in its place.

        Redis is held for one chunk at a time, some milliseconds (`python -m benchmarks redis`). At most one chunk is
        AcceptUnknown, and nothing after it was taken; asked again with the same ids, all is as if asked once.
        """
        return await self._acceptance.many(asked, caps)

    async def require_room(self, caps: Caps, *, tenant: str, key: str | None) -> None:
        """Before a picture is read for an edit that would be refused. Raises QueueFull or Unavailable.

        Where the idempotency key is known there is always room: for the edit that is there.
        """
        verdict = await self._ask(_ROOM, tenant=tenant, idem=key, **caps.arguments)
        if verdict["outcome"] != "room":
            raise admission.refusal(verdict, caps, self._acceptance.drain)

    async def replay(self, tenant: str, idempotency: Idempotency) -> Accepted | None:
        """What the key stands for, None if it is free. Raises IdempotencyKeyReused, Unavailable or LeftRedis."""
        async with answering():
            kept = await self.redis.get(Key.IDEMPOTENCY.of(self.namespace, tenant, idempotency.key))
        if kept is None:
            return None
        seen = json.loads(kept)
        if seen["fp"] != idempotency.fingerprint:
            raise reused()
        edit = await self.get(seen["id"])
        if edit is None:
            raise LeftRedis(seen["id"])
        return Accepted(edit=edit, replayed=True)

    async def get(self, edit_id: str) -> Edit | None:
        return next(iter(await self.get_many([edit_id])), None)

    async def get_many(self, edit_ids: Sequence[str]) -> list[Edit]:
        """Those that are there, in the order asked."""
        if not edit_ids:
            return []
        rows = await self._ask(READ, ids=list(edit_ids))
        return [row.edit(edit_id) for edit_id, row in zip(edit_ids, rows, strict=True) if row]

    async def timeline(self, edit_id: str) -> list[TimelineEvent] | None:
        (row,) = await self._ask(READ, ids=[edit_id], timeline=True)
        return row.events() if row else None

    async def newest(self, tenant: str, *, before: str | None, limit: int) -> list[str]:
        """Ids, newest first, older than `before`."""
        return await self._page(Key.INDEX.of(self.namespace, tenant), before, limit)

    async def by_external_id(self, tenant: str, external_id: str) -> list[str]:
        return await self._page(Key.EXTERNAL_ID.of(self.namespace, tenant, external_id), None, 1000)

    async def cancel(self, edit_id: str) -> Edit:
        outcome = await self._ask(_CANCEL, id=edit_id)
        if outcome == "too_late":
            raise errors.TooLate(f"{edit_id} has left the queue; the provider cannot cancel a task.")
        return await self._changed(edit_id, outcome)

    async def retry(self, edit_id: str) -> Edit:
        shifts = {str(priority): fairness.arrival_shift(priority) for priority in Priority}
        outcome = await self._ask(_RETRY, id=edit_id, shifts=shifts)
        if outcome == "unfinished":
            raise errors.NotFinished(f"{edit_id} has not ended; only a failed edit can be retried.")
        if outcome == "ended":
            raise errors.TooLate(f"{edit_id} did not fail; only a failed edit can be retried.")
        return await self._changed(edit_id, outcome)

    async def nudge(self, edit_id: str, *, attempt: int, task_id: str, ended: bool = True) -> None:
        """A callback named `task_id`: look at this edit now."""
        await self._ask(_NUDGE, id=edit_id, attempt=attempt, task=task_id, ended=int(ended))

    async def took(self, steps: int) -> list[Took]:
        """What the latest tasks of so many steps took, the latest first. Raises RedisError."""
        lines: list[str] = await self.redis.lrange(Key.TOOK.of(self.namespace, steps), 0, -1)  # type: ignore[assignment] # redis-py's own
        return records.read_took(lines)

    async def gate(self) -> circuits.Gate:
        """Raises Unavailable."""
        return await circuits.gate(self.redis, self.namespace)

    async def outages(self) -> dict[circuits.Operation, circuits.Outage]:
        return await circuits.outages(self.redis, self.namespace)

    async def ended(self) -> AsyncIterator[str]:
        """Ids of edits as they end, after one "" that says that listening has begun. Raises Unavailable."""
        try:
            async with self.redis.pubsub(ignore_subscribe_messages=True) as listener:
                await listener.subscribe(Key.ENDED.of(self.namespace))
                yield ""
                while True:
                    message = await listener.get_message(timeout=5)
                    if message is not None:
                        yield message["data"]
        except LOST as exc:
            raise errors.Unavailable("Redis does not answer.") from exc

    async def _page(self, index: str, before: str | None, limit: int) -> list[str]:
        last = f"({before}" if before else "+"
        async with answering():
            return await self.redis.zrevrangebylex(index, last, "-", start=0, num=limit)  # type: ignore[return-value] # redis-py's own

    async def _changed(self, edit_id: str, outcome: str) -> Edit:
        edit = await self.get(edit_id) if outcome != "missing" else None
        if edit is None:
            raise errors.NotFound(f"There is no edit {edit_id}.")
        return edit

    async def _ask(self, script: Script[T], *, lost: errors.EditsError | None = None, **arguments: Argument) -> T:
        try:
            return await self.scripts.run(script, **arguments)
        except ReplyLost as exc:
            raise lost or errors.Unavailable("Redis does not answer.") from exc
        except NewerRecord as exc:
            raise errors.NewerFormat(str(arguments.get("id"))) from exc
        except BatchFailed:
            raise
        except ScriptError as exc:
            raise errors.Unavailable(str(exc) if isinstance(exc, Unsent) else explain(exc)) from exc
