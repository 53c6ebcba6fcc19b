"""All that names an edit or a task, with what Redis holds of that edit, read at one moment; the rules are pure."""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from edits.db import clock, records
from edits.db.fields import Field
from edits.db.keys import Key
from edits.models import Edit

AT_ONCE: Final = 50  # facts read in one call, which takes Redis some ms
PAGE: Final = 500  # a SCAN or ZSCAN of so many takes Redis some hundred microseconds
DUE_SETS: Final = ("submit", "adopt", "poll", "store", "manifest")
_SCRIPT: Final = Path(__file__).with_suffix(".lua").read_text("utf-8")
_VERSION: Final = (
    Field.FENCE, Field.UPDATED, Field.LAST_EVENT, Field.STATUS, Field.PLACE, Field.NUDGES, Field.TASKS_BOUGHT
)  # fmt: skip

Subject = tuple[str, str]  # a key without its namespace, and a member of it; of a key itself the member is empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`id`: the edit that the subject stands for. Of a record itself, also each place that names the edit."""

    place: str
    member: str
    id: str
    record: dict[str, str]
    texts: dict[str, str]
    input: str | None = None
    there: float | None = None  # score of the member; of a key, ms until it expires (-1: never, -2: it is gone)
    now: int  # ms, by the clock of the scripts
    longest: Mapping[str, float] = field(default_factory=dict)  # ms for which an edit may be due in a set while in work
    timeline: str | None = None
    scores: dict[str, float] = field(default_factory=dict)
    """In queue, index, ext, retention, expiring and the due-sets; in tenants, the score of its tenant."""
    owners: dict[str, str] = field(default_factory=dict)
    """Each task that the record names as bought → the edit that the task's key names."""
    abandoned: dict[str, float] = field(default_factory=dict)
    idempotency: tuple[str, int] | None = None  # value of its key and ms until it expires (-1: never)

    @property
    def subject(self) -> Subject:
        return (self.place, self.member)

    @property
    def kind(self) -> str:
        return self.place.partition(":")[0]

    @property
    def rest(self) -> str:
        """Of the key's name."""
        return self.place.partition(":")[2]

    @property
    def version(self) -> str:
        return ".".join(self.record.get(name, "") for name in _VERSION)

    @property
    def external_id(self) -> str | None:
        try:
            given = json.loads(self.input or "{}").get("external_id")
        except (ValueError, AttributeError):
            return None
        return given if isinstance(given, str) else None

    def edit(self) -> Edit:
        """Raises KeyError, ValueError or TypeError for a record that cannot be read."""
        return records.read(self.id, self.record, self.input or "", self.texts)


async def names(redis: Redis, namespace: str) -> AsyncIterator[str]:
    """Every key of the namespace, without it. SCAN may return a key twice."""
    async for name in redis.scan_iter(match=f"{namespace}:*", count=PAGE):
        yield str(name)[len(namespace) + 1 :]


async def subjects(
    redis: Redis, namespace: str, *, kinds: Collection[str], zsets: Collection[str]
) -> AsyncIterator[Subject]:
    """Every key of these `kinds`; in place of those that are `zsets`, their members."""
    async for place in names(redis, namespace):
        kind = place.partition(":")[0]
        if kind in zsets:
            async for member, _ in redis.zscan_iter(f"{namespace}:{place}", count=PAGE):
                yield place, str(member)
        elif kind in kinds:
            yield place, ""


async def moment(redis: Redis, namespace: str) -> int:
    """Milliseconds, by the clock of the scripts."""
    return (await _call(redis, namespace, []))[0]


async def read(
    redis: Redis, namespace: str, wanted: Sequence[Subject], *, longest: Mapping[str, float] | None = None
) -> list[Facts]:
    """The facts of those that are there."""
    now, rows = await _call(redis, namespace, wanted)
    found = (Facts(**row, now=now, longest=longest or {}) for row in rows)
    return [facts for facts in found if facts.there not in {None, -2}]


async def of_edit(redis: Redis, namespace: str, edit_id: str) -> Facts | None:
    return next(iter(await read(redis, namespace, [(f"{Key.RECORD}:{edit_id}", "")])), None)


async def _call(redis: Redis, namespace: str, wanted: Sequence[Subject]) -> tuple[int, list[dict[str, Any]]]:
    script = redis.register_script(_SCRIPT)
    server, kept, found = await script(keys=[f"{namespace}:"], args=[json.dumps(wanted)])
    return clock.reckon([int(part) for part in server], *kept), json.loads(found)
