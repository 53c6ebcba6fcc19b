"""The provider's history compared with what Redis and the manifests know of our tasks.

The caller reads the provider, with the read tokens that all processes share.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from redis.asyncio import Redis

from edits.attempts import Attempt
from edits.db.fields import Field
from edits.db.keys import Key
from edits.invariants import facts
from edits.invariants.report import Violation
from edits.models import FINAL, ErrorKind
from edits.storage import layout, manifest
from edits.storage.backends import ObjectMissing
from edits.storage.store import Storage

MOST_READ: Final = 2000  # tasks read one by one, each for a read token


class HistoryUnreadable(Exception):
    """The history cannot be read to its end, so it proves nothing about tasks that were not seen."""


class HistoryTask(NamedTuple):
    """`attempt`: the purchase that its token names; None: not ours, or the token was not read."""

    task_id: str
    final: bool
    attempt: Attempt | None = None


class ProviderHistory(Protocol):
    """Both methods raise HistoryUnreadable."""

    def pages(self, since: datetime) -> AsyncIterator[list[HistoryTask]]:
        """All tasks since then. The provider's list shows no token, so `attempt` is None here."""
        ...

    async def read(self, task_id: str) -> HistoryTask | None:
        """The task with its token; None if the provider does not know it."""
        ...


@dataclass(slots=True)
class HistoryRules:
    """`deep`: the token of every task is read, not only of those that Redis does not know."""

    redis: Redis
    namespace: str
    history: ProviderHistory
    storage: Storage | None
    deep: bool
    read: dict[str, HistoryTask | None] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)  # ours
    unreadable: int = 0  # listed, and not to be read

    async def violations(self, listed: Sequence[HistoryTask]) -> list[Violation]:
        """Raises HistoryUnreadable."""
        keys = [Key.TASK.of(self.namespace, task.task_id) for task in listed]
        owners: list[Any] = await self.redis.mget(keys) if keys else []
        found = [(task, await self._violation(task, owner)) for task, owner in zip(listed, owners, strict=True)]
        return [Violation(f"history.{wrong[0]}", (task.task_id, ""), wrong[1]) for task, wrong in found if wrong]

    async def again(self, subjects: Sequence[tuple[str, str]]) -> list[Violation]:
        """The violations of tasks by what the provider says of them now."""
        return await self.violations(
            [task for task_id, _ in subjects if (task := await self._task(task_id, again=True))]
        )

    async def still_unfinished(self) -> int:
        """How many of our tasks that were listed as unfinished still are."""
        tasks = [await self._task(task_id, again=True) for task_id in sorted(self.unfinished)]
        return sum(task is not None and not task.final for task in tasks)

    async def _violation(self, task: HistoryTask, owner: str | None) -> tuple[str, str] | None:
        """(rule, text)."""
        token = task.attempt
        if token is None and (self.deep or owner is None):
            read = await self._task(task.task_id)
            self.unreadable += read is None
            token = read.attempt if read else None
        if (owner or token) and not task.final:
            self.unfinished.add(task.task_id)
        if owner is None:
            return await self._unknown(task, token) if token else None  # without our token it is another program's
        if token is not None and token.edit_id != owner:
            return "owner", f"its token names {token.edit_id}, and it serves {owner}"
        return None if task.final else await self._unfollowed(task, owner)

    async def _unknown(self, task: HistoryTask, token: Attempt) -> tuple[str, str] | None:
        """A task that no record names is right while it is searched for, or if the edit ended without an answer."""
        here = await facts.of_edit(self.redis, self.namespace, token.edit_id)
        if here is None:
            known, where = await self._in_manifest(task, token), "not in Redis"
        else:
            status, place, kind = map(here.record.get, (Field.STATUS, Field.PLACE, Field.ERROR_KIND))
            known = place in {"submit", "adopt"} or kind == ErrorKind.SUBMISSION_UNKNOWN
            where = f"{status} in {place}"
        return None if known else ("known", f"bought for attempt {token.number} of {token.edit_id}, which is {where}")

    async def _in_manifest(self, task: HistoryTask, token: Attempt) -> bool:
        if self.storage is None:
            raise HistoryUnreadable("edits that have left Redis are only in the storage, which was not given")
        try:
            read = manifest.read(await self.storage.get(layout.manifest_key(token.edit_id)))
        except (ObjectMissing, ValueError):
            read = None
        if read is None:
            return False
        edit, timeline = read
        unknown = edit.error is not None and edit.error.kind is ErrorKind.SUBMISSION_UNKNOWN
        return unknown or task.task_id in {edit.task_id, *(event.data.get("task_id") for event in timeline)}

    async def _unfollowed(self, task: HistoryTask, owner: str) -> tuple[str, str] | None:
        here = await facts.of_edit(self.redis, self.namespace, owner)
        if not here:
            return "followed", f"its edit {owner} is not in Redis any more"
        record = here.record
        current, status = record.get(Field.TASK), record[Field.STATUS]
        if (current == task.task_id and status not in FINAL) or task.task_id in here.abandoned:
            return None
        return "followed", f"its edit {owner} is {status} and its current task is {current or 'none'}"

    async def _task(self, task_id: str, *, again: bool = False) -> HistoryTask | None:
        if again or task_id not in self.read:
            if task_id not in self.read and len(self.read) >= MOST_READ:
                raise HistoryUnreadable(
                    f"more than {MOST_READ} tasks would have to be read one by one; look back less far"
                )
            self.read[task_id] = await self.history.read(task_id)
        return self.read[task_id]
