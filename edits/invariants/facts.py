"""All that Redis keeps of an edit and all places that name it, read at one moment, so that rules can be pure.

Reading is a transaction of a few hundred quick commands: some ms of Redis at most.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from redis.asyncio import Redis

from edits.db import clock, records
from edits.db.fields import Field, Text
from edits.db.keys import Key

AT_ONCE: Final = 25
"""Edits a transaction."""

DUE_SETS: Final = ("submit", "adopt", "poll", "store", "manifest")
TRIES: Final = 3
_VERSION: Final = (
    Field.FENCE, Field.UPDATED, Field.LAST_EVENT, Field.STATUS, Field.PLACE, Field.NUDGES, Field.TASKS_BOUGHT
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    id: str
    e: dict[str, str]
    x: dict[str, str]
    input: str | None
    timeline: str | None
    scores: dict[str, float]
    """Where it is: queue, tenants (its tenant is in line), the due-sets, retention, expiring, index, ext."""
    idem: tuple[str | None, int] | None
    """What its idempotency key holds, and ms until it expires: -1 never; None: it has no such key (any more)."""
    owners: dict[str, str | None]
    """Of each of its tasks."""
    abandoned: frozenset[str]
    now: int

    @property
    def version(self) -> str:
        return ".".join(
            self.e.get(name, "")
            for name in (
                Field.FENCE,
                Field.UPDATED,
                Field.LAST_EVENT,
                Field.STATUS,
                Field.PLACE,
                Field.NUDGES,
                Field.TASKS_BOUGHT,
            )
        )

    @property
    def external_id(self) -> str | None:
        return external_id(self.input)


@dataclass(frozen=True, slots=True)
class _Names:
    """What must be known of an edit before the places that name it can be asked."""

    tenant: str
    external_id: str | None
    idem: str | None
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, e: dict[str, str], x: dict[str, str], text: str | None) -> "_Names":
        return cls(e.get(Field.TENANT, ""), external_id(text), x.get(Text.IDEMPOTENCY), tuple(tasks_of(e, x)))


def tasks_of(e: dict[str, str], x: dict[str, str]) -> list[str]:
    """Every task that the record names as bought, each once."""
    named = [*([e[Field.TASK]] if Field.TASK in e else []), *x.get(Text.OTHERS, "").split()]
    return list(dict.fromkeys(named))


def external_id(text: str | None) -> str | None:
    try:
        asked = json.loads(text or "{}")
    except ValueError:
        return None
    given = asked.get("external_id") if isinstance(asked, dict) else None
    return given if isinstance(given, str) else None


async def moment(redis: Redis, namespace: str) -> int:
    """Milliseconds, by the clock of the scripts."""
    pipe = redis.pipeline(transaction=False)
    pipe.time()
    pipe.mget(Key.CLOCK.of(namespace), Key.TICK.of(namespace))
    server, kept = await pipe.execute()
    return clock.reckon(server, *kept)


async def read(redis: Redis, namespace: str, ids: Sequence[str]) -> list[Facts]:
    """Of those of `ids` that have a record. One that changes all the time is left out."""
    found: list[Facts] = []
    left = list(ids)
    for _ in range(TRIES):
        names = await _names(redis, namespace, left)
        if not names:
            break
        read_now = await _at_one_moment(redis, namespace, names)
        same = [facts for facts in read_now if _Names.of(facts.e, facts.x, facts.input) == names[facts.id]]
        found += same
        done = {facts.id for facts in same}
        left = [facts.id for facts in read_now if facts.id not in done]
    return found


async def _names(redis: Redis, namespace: str, ids: Sequence[str]) -> dict[str, _Names]:
    if not ids:
        return {}
    pipe = redis.pipeline(transaction=False)
    for edit_id in ids:
        pipe.hgetall(Key.RECORD.of(namespace, edit_id))
        pipe.hgetall(Key.TEXTS.of(namespace, edit_id))
        pipe.get(Key.INPUT.of(namespace, edit_id))
    rows = iter(await pipe.execute())
    told = {edit_id: tuple(islice(rows, 3)) for edit_id in ids}
    return {edit_id: _Names.of(*row) for edit_id, row in told.items() if row[0]}


async def _at_one_moment(redis: Redis, namespace: str, names: dict[str, _Names]) -> list[Facts]:
    pipe = redis.pipeline(transaction=True)
    pipe.time()
    pipe.mget(Key.CLOCK.of(namespace), Key.TICK.of(namespace))
    for edit_id, known in names.items():
        _ask(pipe, namespace, edit_id, known)
    server, kept, *answers = await pipe.execute()
    now = clock.reckon(server, *kept)
    rows = iter(answers)
    told = [_told(edit_id, known, rows, now) for edit_id, known in names.items()]
    return [facts for facts in told if facts.e]


def _places(namespace: str, edit_id: str, known: _Names) -> dict[str, tuple[str, str]]:
    """Place → (key, member)."""
    places = {
        "queue": (Key.QUEUE.of(namespace, known.tenant), edit_id),
        "tenants": (Key.TENANTS.of(namespace), known.tenant),
        "index": (Key.INDEX.of(namespace, known.tenant), edit_id),
        **{name: (Key.DUE.of(namespace, name), edit_id) for name in DUE_SETS},
        **{key.value: (key.of(namespace), edit_id) for key in (Key.RETENTION, Key.EXPIRING)},
    }
    if known.external_id is not None:
        places["ext"] = (Key.EXTERNAL_ID.of(namespace, known.tenant, known.external_id), edit_id)
    return places


def _ask(pipe: Any, namespace: str, edit_id: str, known: _Names) -> None:
    """The commands whose answers `_told` takes, in its order."""
    pipe.hgetall(Key.RECORD.of(namespace, edit_id))
    pipe.hgetall(Key.TEXTS.of(namespace, edit_id))
    pipe.get(Key.INPUT.of(namespace, edit_id))
    pipe.get(Key.TIMELINE.of(namespace, edit_id))
    for key, member in _places(namespace, edit_id, known).values():
        pipe.zscore(key, member)
    if known.idem is not None:
        pipe.get(Key.IDEMPOTENCY.of(namespace, known.tenant, known.idem))
        pipe.pttl(Key.IDEMPOTENCY.of(namespace, known.tenant, known.idem))
    for task in known.tasks:
        pipe.get(Key.TASK.of(namespace, task))
        pipe.zscore(Key.ABANDONED.of(namespace), task)


def _told(edit_id: str, known: _Names, rows: Any, now: int) -> Facts:
    e, x, text, timeline = islice(rows, 4)
    places = _places("", edit_id, known)
    scores = dict(zip(places, islice(rows, len(places)), strict=True))
    idem = None if known.idem is None else (next(rows), int(next(rows)))
    tasks = {task: (next(rows), next(rows)) for task in known.tasks}
    return Facts(
        id=edit_id,
        e=e,
        x=x,
        input=text,
        timeline=timeline,
        scores={name: float(score) for name, score in scores.items() if score is not None},
        idem=idem,
        owners={task: owner for task, (owner, _) in tasks.items()},
        abandoned=frozenset(task for task, (_, score) in tasks.items() if score is not None),
        now=now,
    )


def edit_of(facts: Facts) -> Any:
    """The record as an `Edit`. Raises KeyError, ValueError or TypeError for one that cannot be read."""
    return records.read(facts.id, facts.e, facts.input or "", facts.x)
