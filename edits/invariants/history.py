"""The provider's own history held against what Redis and the manifests know of our tasks.

How it is read is the caller's: whoever asks the provider takes the read tokens that all share.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

from redis.asyncio import Redis

from edits.attempts import Attempt
from edits.db.fields import Field
from edits.db.keys import Key
from edits.invariants import facts
from edits.invariants.facts import Facts
from edits.models import FINAL, ErrorKind
from edits.storage import layout, manifest
from edits.storage.store import ObjectMissing, Storage

MOST_READ: Final = 2000
"""Tasks read one by one, each for a read token."""


class PastUnreadable(Exception):
    """The history cannot be read (to its end): it proves nothing about what was not seen."""


class PastTask(NamedTuple):
    """`attempt`: whose it is by its token; None: not ours."""

    task_id: str
    final: bool
    attempt: Attempt | None = None


class Past(Protocol):
    """Both raise PastUnreadable."""

    def pages(self, since: datetime) -> AsyncIterator[list[PastTask]]:
        """All tasks since then. The provider's list shows no token, so `attempt` is None here."""
        ...

    async def read(self, task_id: str) -> PastTask | None:
        """The task with its token; None where the provider does not know it (any more)."""
        ...


class Doubt(NamedTuple):
    rule: str
    task_id: str
    said: str


@dataclass(slots=True)
class PastRules:
    """`deep`: the token of every task is read, not only of those that Redis does not know."""

    redis: Redis
    namespace: str
    past: Past
    storage: Storage | None
    deep: bool
    read: dict[str, PastTask | None] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)  # ours
    unreadable: int = 0  # listed, and not to be read

    async def doubts(self, seen: Sequence[PastTask]) -> list[Doubt]:
        """Raises PastUnreadable."""
        found: list[Doubt] = []
        owners = await self._owners([task.task_id for task in seen])
        for task in seen:
            found += [Doubt(rule, task.task_id, said) for rule, said in await self._judge(task, owners[task.task_id])]
        return found

    async def again(self, task_ids: Sequence[str]) -> list[Doubt]:
        """The same of what the provider says of these tasks by now."""
        for task_id in task_ids:
            self.read.pop(task_id, None)
        now = [task for task_id in task_ids if (task := await self._task(task_id)) is not None]
        return await self.doubts(now)

    async def still_unfinished(self) -> int:
        """Of our tasks that were unfinished when they were seen."""
        for task_id in sorted(self.unfinished):
            self.read.pop(task_id, None)
            task = await self._task(task_id)
            if task is None or task.final:
                self.unfinished.discard(task_id)
        return len(self.unfinished)

    async def _judge(self, task: PastTask, owner: str | None) -> list[tuple[str, str]]:
        token = task.attempt
        if token is None and (self.deep or owner is None):
            told = await self._task(task.task_id)
            if told is None:
                self.unreadable += 1
            token = told.attempt if told else None
        if (owner or token) and not task.final:
            self.unfinished.add(task.task_id)
        if owner is None:
            return await self._unknown(task, token) if token else []  # else it is somebody else's
        if token is not None and token.edit_id != owner:
            return [("history.owner", f"its token names {token.edit_id}, and it serves {owner}")]
        return [] if task.final else await self._followed(task, owner)

    async def _unknown(self, task: PastTask, token: Attempt) -> list[tuple[str, str]]:
        here = await facts.read(self.redis, self.namespace, [token.edit_id])
        told = await self._told_by_record(here[0]) if here else await self._told_by_manifest(task, token)
        if told:
            return []
        where = f"{here[0].e['st']} in {here[0].e['pl']}" if here else "not in Redis"
        return [("history.known", f"bought for attempt {token.number} of {token.edit_id}, which is {where}")]

    async def _told_by_record(self, record: Facts) -> bool:
        """It is looked for, or was, and the record says that this purchase is not known."""
        looked_for = record.e.get(Field.PLACE) in {"submit", "adopt"}
        return looked_for or record.e.get(Field.ERROR_KIND) == ErrorKind.SUBMISSION_UNKNOWN

    async def _told_by_manifest(self, task: PastTask, token: Attempt) -> bool:
        if self.storage is None:
            raise PastUnreadable("edits that have left Redis are told of by the storage, which was not given")
        try:
            read = manifest.read(await self.storage.get(layout.manifest_key(token.edit_id)))
        except (ObjectMissing, ValueError):
            return False
        if read is None:
            return False
        edit, timeline = read
        named = {edit.task_id, *(event.data.get("task_id") for event in timeline)}
        unknown = edit.error is not None and edit.error.kind is ErrorKind.SUBMISSION_UNKNOWN
        return task.task_id in named or unknown

    async def _followed(self, task: PastTask, owner: str) -> list[tuple[str, str]]:
        here = await facts.read(self.redis, self.namespace, [owner])
        if not here:
            return [("history.followed", f"its edit {owner} is not in Redis any more")]
        record = here[0]
        waits = record.e.get(Field.TASK) == task.task_id and record.e[Field.STATUS] not in FINAL
        if waits or task.task_id in record.abandoned:
            return []
        return [("history.followed", f"its edit {owner} is {record.e['st']} and goes by {record.e.get('ti', 'none')}")]

    async def _task(self, task_id: str) -> PastTask | None:
        if task_id not in self.read:
            if len(self.read) >= MOST_READ:
                raise PastUnreadable(
                    f"more than {MOST_READ} tasks would have to be read one by one; look back less far"
                )
            self.read[task_id] = await self.past.read(task_id)
        return self.read[task_id]

    async def _owners(self, task_ids: Sequence[str]) -> dict[str, str | None]:
        names = iter(task_ids)
        owners: dict[str, str | None] = {}
        while some := list(islice(names, 200)):
            kept: list[Any] = await self.redis.mget([Key.TASK.of(self.namespace, task) for task in some])
            owners |= dict(zip(some, kept, strict=True))
        return owners
