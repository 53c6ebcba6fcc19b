"""Sets, indexes and keys that name an edit or a task: each must name one that is here and says the same."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis

from edits.db.fields import Field
from edits.db.keys import Key
from edits.invariants.facts import external_id, tasks_of
from edits.invariants.report import Violation
from edits.models import FINAL

PAGE: Final = 500  # a SCAN or ZSCAN of so many takes Redis some hundred microseconds


class Named(NamedTuple):
    """A key without its namespace, or a member of it, with the record of the edit that it stands for."""

    place: str
    member: str
    owner: str
    there: float | None
    """Score of the member; of a key, ms until it expires (-1: never, -2: it is gone)."""
    record: dict[str, str]
    texts: dict[str, str]
    input: str | None

    @property
    def rest(self) -> str:
        return self.place.partition(":")[2]

    @property
    def version(self) -> str:
        return ".".join(self.record.get(name, "") for name in (Field.FENCE, Field.UPDATED, Field.PLACE))

    def is_in(self, place: str) -> bool:
        return self.record.get(Field.PLACE) == place

    def is_of(self, tenant: str) -> bool:
        return self.record.get(Field.TENANT) == tenant

    def is_due(self) -> bool:
        return self.record.get(Field.STATUS) in FINAL if self.rest == "manifest" else self.is_in(self.rest)

    def has_external_id(self) -> bool:
        tenant, _, name = self.rest.partition(":")
        return self.is_of(tenant) and external_id(self.input) == name


SETS_OF_EDITS: Final[dict[str, Callable[[Named], bool]]] = {
    Key.QUEUE: lambda one: one.is_in("queue") and one.is_of(one.rest),
    Key.DUE: Named.is_due,
    Key.RETENTION: lambda one: one.is_in("final"),
    Key.EXPIRING: lambda one: one.is_in("queue"),
    Key.INDEX: lambda one: one.is_of(one.rest),
    Key.EXTERNAL_ID: Named.has_external_id,
}
"""Whether the record agrees with being in the set."""

RULE_OF: Final[dict[str, str]] = {
    **dict.fromkeys(SETS_OF_EDITS, "members"),
    **dict.fromkeys((Key.INPUT, Key.TEXTS, Key.TIMELINE), "orphans"),
    **dict.fromkeys((Key.TASK, Key.ABANDONED), "tasks"),
    Key.IDEMPOTENCY: "idempotency",
}
"""The rule for each kind of key that names edits."""


def kind_of(place: str) -> str:
    return place.partition(":")[0]


async def names(redis: Redis, namespace: str) -> AsyncIterator[str]:
    """Every key of the namespace, without it. SCAN may return a key twice."""
    async for name in redis.scan_iter(match=f"{namespace}:*", count=PAGE):
        yield str(name)[len(namespace) + 1 :]


async def subjects(redis: Redis, namespace: str) -> AsyncIterator[tuple[str, str]]:
    """Every record and all that names an edit or a task, as (place, member); of a key itself the member is empty."""
    async for place in names(redis, namespace):
        kind = kind_of(place)
        if kind in SETS_OF_EDITS or kind == Key.ABANDONED:
            async for member, _ in redis.zscan_iter(f"{namespace}:{place}", count=PAGE):
                yield place, str(member)
        elif kind in RULE_OF or kind == Key.RECORD:
            yield place, ""


async def violations(redis: Redis, namespace: str, named: Sequence[tuple[str, str]]) -> list[Violation]:
    """Of these (place, member); a member that has left meanwhile violates nothing."""
    owners = await _owners(redis, namespace, named)
    pipe = redis.pipeline(transaction=True)
    for (place, member), owner in zip(named, owners, strict=True):
        key = f"{namespace}:{place}"
        pipe.zscore(key, member) if member else pipe.pttl(key)
        pipe.hgetall(Key.RECORD.of(namespace, owner))
        pipe.hgetall(Key.TEXTS.of(namespace, owner))
        pipe.get(Key.INPUT.of(namespace, owner))
    rows = iter(await pipe.execute())
    read = [
        Named(*subject, owner, *(next(rows) for _ in range(4))) for subject, owner in zip(named, owners, strict=True)
    ]
    return [
        Violation(RULE_OF[kind_of(one.place)], (one.place, one.member), text, one.version)
        for one in read
        if one.there not in {None, -2} and (text := _violation(one))
    ]


async def _owners(redis: Redis, namespace: str, named: Sequence[tuple[str, str]]) -> list[str]:
    """The edit that each stands for: as the key of the task or of the idempotency key says, else by its name."""
    keys = [_key_of_owner(place, member) for place, member in named]
    asked = [f"{namespace}:{key}" for key in keys if key]
    kept: list[Any] = await redis.mget(asked) if asked else []
    values = iter(kept)
    return [
        _owner(next(values)) if key else member or place.partition(":")[2]
        for (place, member), key in zip(named, keys, strict=True)
    ]


def _key_of_owner(place: str, member: str) -> str:
    if place == Key.ABANDONED:
        return f"{Key.TASK}:{member}"
    return place if kind_of(place) in {Key.TASK, Key.IDEMPOTENCY} else ""


def _owner(value: str | None) -> str:
    """The key of a task holds the bare id, an idempotency key JSON."""
    try:
        found = json.loads(value or "")
    except ValueError:
        return value or ""
    return str(found.get("id", "")) if isinstance(found, dict) else ""


def _violation(one: Named) -> str | None:
    match RULE_OF[kind_of(one.place)]:
        case "idempotency":
            return _of_key(one)
        case "tasks":
            return _of_task(one)
        case _:
            return _of_edit(one)


def _of_key(one: Named) -> str | None:
    if one.owner and not one.record and one.there == -1:
        return f"it stands for {one.owner}, which is not here, and never ends"
    return None if one.owner else "it names no edit"


def _of_task(one: Named) -> str | None:
    if not one.record:
        return f"its edit {one.owner or '(none)'} is not here"
    known = (one.member or one.rest) in tasks_of(one.record, one.texts)
    return None if known else f"{one.owner} does not name it as a task of its own"


def _of_edit(one: Named) -> str | None:
    if not one.record:
        return "there is no such edit"
    agrees = SETS_OF_EDITS.get(kind_of(one.place))
    if agrees is None or agrees(one):
        return None
    status, place, tenant = map(one.record.get, (Field.STATUS, Field.PLACE, Field.TENANT))
    return f"the edit is {status} in {place} of tenant {tenant}"
