"""Everything that Redis holds of an edit and every place that names it, read at one moment; the rules are pure.

A read is one transaction of a few hundred quick commands, which take Redis some ms.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from edits.db import clock, records
from edits.db.fields import Field, Text
from edits.db.keys import Key
from edits.models import Edit

AT_ONCE: Final = 50
"""Edits or names read in one transaction."""

ATTEMPTS: Final = 3
DUE_SETS: Final = ("submit", "adopt", "poll", "store", "manifest")
_VERSION: Final = (
    Field.FENCE, Field.UPDATED, Field.LAST_EVENT, Field.STATUS, Field.PLACE, Field.NUDGES, Field.TASKS_BOUGHT
)  # fmt: skip

Question = tuple[str, str]
"""What is read: a part of the edit, or a relation and whom it concerns."""

Answers = dict[Question, Any]
RECORD: Final[Question] = ("record", "")
TEXTS: Final[Question] = ("texts", "")
INPUT: Final[Question] = ("input", "")


@dataclass(frozen=True, slots=True)
class Facts:
    id: str
    record: dict[str, str]
    texts: dict[str, str]
    input: str | None
    timeline: str | None
    scores: dict[str, float]
    """Its score in queue, index, ext, retention, expiring and the due-sets; in tenants, the score of its tenant."""
    idempotency: tuple[str | None, int] | None
    """Value of its idempotency key and ms until that expires (-1: never). None: it names no key."""
    owners: dict[str, str | None]
    """Task → the edit that the task's key names."""
    abandoned: frozenset[str]
    now: int  # ms, by the clock of the scripts

    @property
    def version(self) -> str:
        return ".".join(self.record.get(name, "") for name in _VERSION)

    @property
    def external_id(self) -> str | None:
        return external_id(self.input)

    def edit(self) -> Edit:
        """Raises KeyError, ValueError or TypeError for a record that cannot be read."""
        return records.read(self.id, self.record, self.input or "", self.texts)


def tasks_of(record: Mapping[str, str], texts: Mapping[str, str]) -> list[str]:
    """Every task that the record names as bought, each once."""
    current = [record[Field.TASK]] if Field.TASK in record else []
    return list(dict.fromkeys([*current, *texts.get(Text.OTHERS, "").split()]))


def external_id(text: str | None) -> str | None:
    try:
        given = json.loads(text or "{}").get("external_id")
    except (ValueError, AttributeError):
        return None
    return given if isinstance(given, str) else None


async def moment(redis: Redis, namespace: str) -> int:
    """Milliseconds, by the clock of the scripts."""
    return (await _ask(redis, namespace, {}, atomic=False))[1]


async def read(redis: Redis, namespace: str, ids: Sequence[str]) -> list[Facts]:
    """The facts of those `ids` that have a record. An edit that changes during each attempt is left out."""
    found: list[Facts] = []
    left = list(ids)
    for _ in range(ATTEMPTS if ids else 0):
        contents = {edit_id: _content(namespace, edit_id) for edit_id in left}
        before, _ = await _ask(redis, namespace, contents, atomic=False)
        questions = {edit_id: _questions(namespace, edit_id, told) for edit_id, told in before.items() if told[RECORD]}
        if not questions:
            break
        after, now = await _ask(redis, namespace, questions, atomic=True)
        here = {edit_id: told for edit_id, told in after.items() if told[RECORD]}
        same = {edit_id for edit_id, told in here.items() if _questions(namespace, edit_id, told) == questions[edit_id]}
        found += [_facts(edit_id, here[edit_id], now) for edit_id in here if edit_id in same]
        left = [edit_id for edit_id in here if edit_id not in same]
    return found


async def _ask(
    redis: Redis, namespace: str, questions: Mapping[str, Mapping[Question, Sequence[str]]], *, atomic: bool
) -> tuple[dict[str, Answers], int]:
    """The answers to the commands of each edit and the time of the scripts in ms; `atomic`: of one moment."""
    pipe: Any = redis.pipeline(transaction=atomic)
    pipe.time()
    pipe.mget(Key.CLOCK.of(namespace), Key.TICK.of(namespace))
    for asked in questions.values():
        for command in asked.values():
            pipe.execute_command(*command)
    server, kept, *answers = await pipe.execute()
    rows = iter(answers)
    told = {edit_id: {question: next(rows) for question in asked} for edit_id, asked in questions.items()}
    return told, clock.reckon(server, *kept)


def _content(namespace: str, edit_id: str) -> dict[Question, Sequence[str]]:
    return {
        RECORD: ("HGETALL", Key.RECORD.of(namespace, edit_id)),
        TEXTS: ("HGETALL", Key.TEXTS.of(namespace, edit_id)),
        INPUT: ("GET", Key.INPUT.of(namespace, edit_id)),
    }


def _questions(namespace: str, edit_id: str, told: Answers) -> dict[Question, Sequence[str]]:
    """The commands that read an edit and each place that names it, as far as its content tells them."""
    tenant, named = told[RECORD].get(Field.TENANT, ""), external_id(told[INPUT])
    sets = {
        "queue": Key.QUEUE.of(namespace, tenant),
        "index": Key.INDEX.of(namespace, tenant),
        **{name: Key.DUE.of(namespace, name) for name in DUE_SETS},
        **{key.value: key.of(namespace) for key in (Key.RETENTION, Key.EXPIRING)},
    } | ({} if named is None else {"ext": Key.EXTERNAL_ID.of(namespace, tenant, named)})
    asked: dict[Question, Sequence[str]] = {
        **_content(namespace, edit_id),
        ("timeline", ""): ("GET", Key.TIMELINE.of(namespace, edit_id)),
        ("score", "tenants"): ("ZSCORE", Key.TENANTS.of(namespace), tenant),
        **{("score", name): ("ZSCORE", key, edit_id) for name, key in sets.items()},
    }
    if Text.IDEMPOTENCY in told[TEXTS]:
        key = Key.IDEMPOTENCY.of(namespace, tenant, told[TEXTS][Text.IDEMPOTENCY])
        asked |= {("idempotency", "value"): ("GET", key), ("idempotency", "ttl"): ("PTTL", key)}
    for task in tasks_of(told[RECORD], told[TEXTS]):
        asked["owner", task] = ("GET", Key.TASK.of(namespace, task))
        asked["abandoned", task] = ("ZSCORE", Key.ABANDONED.of(namespace), task)
    return asked


def _facts(edit_id: str, told: Answers, now: int) -> Facts:
    about = {
        relation: {whom: answer for (asked, whom), answer in told.items() if asked == relation}
        for relation in ("score", "idempotency", "owner", "abandoned")
    }
    kept = about["idempotency"]
    return Facts(
        id=edit_id,
        record=told[RECORD],
        texts=told[TEXTS],
        input=told[INPUT],
        timeline=told["timeline", ""],
        scores={name: float(score) for name, score in about["score"].items() if score is not None},
        idempotency=(kept["value"], kept["ttl"]) if kept else None,
        owners=about["owner"],
        abandoned=frozenset(task for task, score in about["abandoned"].items() if score is not None),
        now=now,
    )
