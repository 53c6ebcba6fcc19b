"""Whatever names an edit or a task - sets, indexes, keys - must name one that is here and says the same."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis

from edits.db.fields import Field
from edits.db.keys import Key
from edits.invariants.facts import external_id, tasks_of
from edits.models import FINAL

SETS_OF_EDITS: Final = frozenset({Key.QUEUE, Key.DUE, Key.RETENTION, Key.EXPIRING, Key.INDEX, Key.EXTERNAL_ID})
PARTS: Final = frozenset({Key.INPUT, Key.TEXTS, Key.TIMELINE})
KEPT_BY_NAME: Final = PARTS | {Key.TASK, Key.IDEMPOTENCY}
PAGE: Final = 500  # SCAN and ZSCAN: so many at a time are some hundred microseconds of Redis


class Doubt(NamedTuple):
    """`place`: the key without its namespace, `member`: of the set, or ""."""

    rule: str
    place: str
    member: str
    said: str
    version: str

    @property
    def shown(self) -> str:
        return f"{self.place} {self.member}".rstrip()


async def names(redis: Redis, namespace: str) -> AsyncIterator[list[str]]:
    """Every key of the namespace, without it; some at a time, some perhaps twice."""
    cursor = 0
    while True:
        cursor, found = await redis.scan(cursor, match=f"{namespace}:*", count=PAGE)
        if found:
            yield [str(name)[len(namespace) + 1 :] for name in found]
        if cursor == 0:
            return


async def members(redis: Redis, namespace: str, place: str) -> AsyncIterator[list[str]]:
    cursor = 0
    while True:
        cursor, found = await redis.zscan(f"{namespace}:{place}", cursor, count=PAGE)
        if found:
            yield [str(member) for member, _ in found]
        if cursor == 0:
            return


def rule_of(place: str) -> str | None:
    """Against which rule a key is held; None for one that names no edit."""
    kind = place.partition(":")[0]
    if kind in SETS_OF_EDITS:
        return "members"
    rules: dict[str, str] = {Key.ABANDONED: "tasks", Key.TASK: "tasks", Key.IDEMPOTENCY: "idempotency"}
    return rules.get(kind, "orphans" if kind in PARTS else None)


class _Named(NamedTuple):
    """A place that names something, and the record of the edit that it stands for (empty: there is none)."""

    place: str
    member: str
    owner: str
    there: float | None
    """Score of the member, or ms until the key ends (-1: never)."""
    e: dict[str, str]
    x: dict[str, str]
    text: str | None

    @property
    def version(self) -> str:
        return ".".join(self.e.get(name, "") for name in (Field.FENCE, Field.UPDATED, Field.PLACE))


async def doubts(redis: Redis, namespace: str, named: Sequence[tuple[str, str]]) -> list[Doubt]:
    """What is wrong with these (place, member); a member that has left meanwhile is not."""
    owners = await _owners(redis, namespace, named)
    pipe = redis.pipeline(transaction=True)
    for (place, member), owner in zip(named, owners, strict=True):
        _ask(pipe, namespace, place, member, owner)
    answers = iter(await pipe.execute())
    read = [
        _Named(place, member, owner, *islice(answers, 4)) for (place, member), owner in zip(named, owners, strict=True)
    ]
    return [
        Doubt(rule_of(one.place) or "members", one.place, one.member, said, one.version)
        for one in read
        if one.there not in {None, -2}
        for said in _wrong(one)
    ]


def _ask(pipe: Any, namespace: str, place: str, member: str, owner: str) -> None:
    if member:
        pipe.zscore(f"{namespace}:{place}", member)
    else:
        pipe.pttl(f"{namespace}:{place}")
    pipe.hgetall(Key.RECORD.of(namespace, owner))
    pipe.hgetall(Key.TEXTS.of(namespace, owner))
    pipe.get(Key.INPUT.of(namespace, owner))


async def _owners(redis: Redis, namespace: str, named: Sequence[tuple[str, str]]) -> list[str]:
    """The edit that each stands for."""
    asked = {n: _key_of_owner(place, member) for n, (place, member) in enumerate(named)}
    wanted = {n: key for n, key in asked.items() if key}
    kept: list[Any] = await redis.mget([f"{namespace}:{key}" for key in wanted.values()]) if wanted else []
    told = dict(zip(wanted, kept, strict=True))
    return [
        _owner(told[n]) if n in told else (member or place.partition(":")[2]) for n, (place, member) in enumerate(named)
    ]


def _key_of_owner(place: str, member: str) -> str:
    if place == Key.ABANDONED:
        return f"{Key.TASK}:{member}"
    return place if place.partition(":")[0] in {Key.TASK, Key.IDEMPOTENCY} else ""


def _owner(kept: str | None) -> str:
    """A task keeps the bare id, an idempotency key JSON."""
    try:
        told = json.loads(kept or "")
    except ValueError:
        return kept or ""
    return str(told.get("id", "")) if isinstance(told, dict) else ""


def _wrong(one: _Named) -> Iterator[str]:
    kind, _, rest = one.place.partition(":")
    if kind == Key.IDEMPOTENCY:
        if not one.owner:
            yield "it says of no edit"
        elif not one.e and one.there == -1:
            yield f"it stands for {one.owner}, which is not here, and never ends"
    elif kind in {Key.TASK, Key.ABANDONED}:
        task = one.member or rest
        if not one.e:
            yield f"its edit {one.owner or '(none)'} is not here"
        elif task not in tasks_of(one.e, one.x):
            yield f"{one.owner} does not name it as a task of its own"
    elif not one.e:
        yield "there is no such edit"
    elif kind in SETS_OF_EDITS and not _agrees(kind, rest, one):
        yield f"the edit is {one.e.get('st')} in {one.e.get('pl')} of tenant {one.e.get('tn')}"


def _agrees(kind: str, rest: str, one: _Named) -> bool:
    e = one.e
    tenant, _, wanted = rest.partition(":")
    match kind:
        case Key.QUEUE:
            return e.get(Field.PLACE) == "queue" and e.get(Field.TENANT) == rest
        case Key.DUE:
            return e.get(Field.STATUS) in FINAL if rest == "manifest" else e.get(Field.PLACE) == rest
        case Key.RETENTION:
            return e.get(Field.PLACE) == "final"
        case Key.EXPIRING:
            return e.get(Field.PLACE) == "queue"
        case Key.INDEX:
            return e.get(Field.TENANT) == rest
        case _:
            return e.get(Field.TENANT) == tenant and external_id(one.text) == wanted
