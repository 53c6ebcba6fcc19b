"""The rules of records and of what names an edit or a task: pure functions of facts, with a text for each violation."""

import json
from collections.abc import Callable, Iterator
from typing import Final

from edits.db import records
from edits.db.constants import HORIZON
from edits.db.fields import Field, Text
from edits.db.keys import Key
from edits.errors import NewerFormat
from edits.invariants.facts import DUE_SETS, Facts
from edits.models import FINAL, TimelineEvent, Wait, to_ms

PACKED_VALUE: Final = 64  # bytes; one longer value turns the whole hash into a hashtable

PLACES: Final = {
    "queued": {"queue"}, "submitting": {"submit", "adopt"}, "processing": {"poll"}, "storing": {"store"},
    "succeeded": {"final"}, "failed": {"final"}, "canceled": {"final"},
}  # fmt: skip
"""The places that each status may have."""

SETS: Final = {"queue": "queue", "submit": "submit", "adopt": "adopt", "poll": "poll", "store": "store",
               "retention": "final"}  # fmt: skip
"""Set → the place of the edits in it."""

AFTER_THE_END: Final = frozenset({"extra_task", "task_ended"})  # events of an edit that waits for nothing
BUYS_AGAIN: Final = frozenset({"bought_again", "retried"})  # events that allow one more purchase
GAP: Final = 0.01  # share of an edit's life that its timeline may miss


Rule = Callable[[Facts], Iterator[str]]


def events_of(facts: Facts) -> list[TimelineEvent]:
    """Raises ValueError or TypeError for a timeline that cannot be read."""
    return list(records.read_timeline(facts.timeline or ""))


def _where(*rows: tuple[bool, str]) -> Iterator[str]:
    """The texts of the conditions that are met."""
    return (text for met, text in rows if met)


def readable(facts: Facts) -> Iterator[str]:
    if facts.input is None:
        yield "its input is gone"
    elif not facts.timeline:
        yield "its timeline is gone"
    else:
        facts.edit()
        events_of(facts)


def one_place(facts: Facts) -> Iterator[str]:
    record, scores = facts.record, facts.scores
    status, place, expires = record[Field.STATUS], record[Field.PLACE], Field.EXPIRES in record
    queued, expiring = place == "queue", "expiring" in scores
    found = sorted(place for name, place in SETS.items() if name in scores)
    return _where(
        (found != [place], f"its place is {place} and it is in {', '.join(found) or 'no place'}"),
        (place not in PLACES[status], f"it is {status} and in {place}"),
        (queued and "tenants" not in scores,
         f"it is queued and its tenant {record[Field.TENANT]} is not in line: nobody will claim it"),
        (expiring and not queued, f"it is {status} and still among those that expire in the queue"),
        (queued and expires and not expiring, "its expires_in is not watched"),
        (queued and expiring and not expires, "it has no expires_in and is watched for it"),
        ("manifest" in scores and place != "final", "it has not ended and waits for its manifest"),
        ("index" not in scores, "it is not in its tenant's index: lists do not show it"),
        (facts.external_id is not None and "ext" not in scores, "it is not found by its external_id"),
    )  # fmt: skip


def packed(facts: Facts) -> Iterator[str]:
    sizes = {name: len(value.encode()) for name, value in facts.record.items()}
    return (f"{name} has {size} bytes" for name, size in sizes.items() if size > PACKED_VALUE)


def timeline(facts: Facts) -> Iterator[str]:
    record, events = facts.record, events_of(facts)
    created, last = int(record[Field.CREATED]), int(record[Field.LAST_EVENT])
    moments = [to_ms(event.at) for event in events]
    yield from _where(
        (events[0].type != "accepted" or moments[0] != created, "it does not begin with its acceptance"),
        (moments != sorted(moments), "its events are out of order"),
        (moments[-1] != last, f"its last event is of {moments[-1]}, the record says {last}"),
    )
    for event in events[1:]:
        if not event.wait and event.type not in AFTER_THE_END:
            yield f"the wait before {event.type} has no name"
    yield from _current_wait(facts)
    end = int(record.get(Field.ENDED, last))
    spans = max((at for at in moments if at <= end), default=end) - moments[0]
    if abs(end - created - spans) > max(1, (end - created) * GAP):
        yield f"its spans are {spans} ms of {end - created}"


def _current_wait(facts: Facts) -> Iterator[str]:
    """An ended edit waits for nothing; the wait of any other has a name and a beginning."""
    record = facts.record
    final, ended, waits = record[Field.STATUS] in FINAL, Field.ENDED in record, Field.WAIT in record
    if waits:
        Wait(record[Field.WAIT])
    named = waits and Field.WAIT_SINCE in record
    early = named and int(record[Field.WAIT_SINCE]) < int(record[Field.CREATED])
    return _where(
        (final and waits, "it has ended and waits for something"),
        (final and not ended, "it has ended, and does not say when"),
        (not final and not named, "what it waits for has no name"),
        (not final and ended, "it goes on, and says that it has ended"),
        (not final and early, "its wait began before it was accepted"),
    )


def horizon(facts: Facts) -> Iterator[str]:
    ahead = {name: facts.scores.get(name, 0) - facts.now for name in DUE_SETS}
    return (f"it is due in {name} only in {ms / 1000:.0f} s" for name, ms in ahead.items() if ms > HORIZON)


def overdue(facts: Facts) -> Iterator[str]:
    for name, allowed in facts.longest.items():
        late = facts.now - facts.scores.get(name, facts.now)
        if late > allowed:
            yield f"it is due in {name} for {late / 1000:.0f} s, and {allowed / 1000:.0f} s are the most"


def tasks(facts: Facts) -> Iterator[str]:
    record, owners = facts.record, facts.owners
    status, task, bought = record[Field.STATUS], record.get(Field.TASK), int(record[Field.TASKS_BOUGHT])
    return _where(
        *((owner != facts.id, f"its task {task} serves {owner or 'no edit'}") for task, owner in owners.items()),
        (bought != len(owners), f"it counts {bought} tasks bought and names {len(owners)}"),
        (status in {"processing", "storing"} and task is None, f"it is {status} without a task"),
        (status not in FINAL and task in facts.abandoned, f"its task {task} is followed as if it were given up"),
    )


def bought_once(facts: Facts) -> Iterator[str]:
    """One purchase, and one for each repurchase. The attempt counts those that a cut timeline lacks."""
    repurchases = sum(event.type in BUYS_AGAIN for event in events_of(facts))
    allowed = max(int(facts.record[Field.ATTEMPT]), 1 + repurchases)
    bought = int(facts.record[Field.TASKS_BOUGHT])
    if bought > allowed:
        yield f"{bought} tasks were bought and {allowed} allowed: {' '.join(facts.owners)}"


def idempotency(facts: Facts) -> Iterator[str]:
    if facts.idempotency is None or facts.record[Field.STATUS] in FINAL:
        return
    kept, ttl = facts.idempotency
    if not kept or json.loads(kept).get("id") != facts.id:
        yield "it goes on, and its Idempotency-Key stands for another edit or none"
    elif ttl >= 0:
        yield f"it goes on, and its Idempotency-Key ends in {ttl / 1000:.0f} s"


def of_edit(facts: Facts) -> Iterator[str]:
    """A set names an edit that is here and says the same; a key of an edit has its record beside it."""
    if not facts.record:
        yield "there is no such edit"
    elif facts.kind in AGREES and not AGREES[facts.kind](facts):
        status, place, tenant = map(facts.record.get, (Field.STATUS, Field.PLACE, Field.TENANT))
        yield f"the edit is {status} in {place} of tenant {tenant}"


def of_task(facts: Facts) -> Iterator[str]:
    if not facts.record:
        yield f"its edit {facts.id or '(none)'} is not here"
    elif (facts.member or facts.rest) not in [facts.record.get(Field.TASK), *facts.texts.get(Text.OTHERS, "").split()]:
        yield f"{facts.id} does not name it as a task of its own"


def of_key(facts: Facts) -> Iterator[str]:
    if not facts.id:
        yield "it names no edit"
    elif not facts.record and facts.there == -1:
        yield f"it stands for {facts.id}, which is not here, and never ends"


def _is_of_tenant(facts: Facts) -> bool:
    return facts.record.get(Field.TENANT) == facts.rest.partition(":")[0]


AGREES: Final[dict[str, Callable[[Facts], bool]]] = {
    Key.QUEUE: lambda facts: facts.record.get(Field.PLACE) == "queue" and _is_of_tenant(facts),
    Key.DUE: lambda facts: facts.record.get(Field.PLACE) == SETS.get(facts.rest, "final"),
    Key.RETENTION: lambda facts: facts.record.get(Field.PLACE) == "final",
    Key.EXPIRING: lambda facts: facts.record.get(Field.PLACE) == "queue",
    Key.INDEX: _is_of_tenant,
    Key.EXTERNAL_ID: lambda facts: _is_of_tenant(facts) and facts.external_id == facts.rest.partition(":")[2],
}
"""Whether a record agrees with being in a set."""

ZSETS: Final = frozenset({*AGREES, Key.ABANDONED})  # kinds of keys whose members name edits or tasks

RULES: Final[dict[str, dict[str, Rule]]] = {
    Key.RECORD: {
        rule.__name__: rule
        for rule in (readable, one_place, packed, timeline, horizon, overdue, tasks, bought_once, idempotency)
    },
    **{kind: {"members": of_edit} for kind in AGREES},
    **{kind: {"orphans": of_edit} for kind in (Key.INPUT, Key.TEXTS, Key.TIMELINE)},
    **{kind: {"tasks": of_task} for kind in (Key.TASK, Key.ABANDONED)},
    Key.IDEMPOTENCY: {"idempotency": of_key},
}
"""The rules by name, for each kind of key that is checked."""


def violations(facts: Facts) -> Iterator[tuple[str, str]]:
    """(rule, text). A record that cannot be read violates `readable` once, whichever rule met it."""
    unreadable = ""
    for name, rule in RULES[facts.kind].items():
        try:
            found = list(rule(facts))
        except (NewerFormat, KeyError, ValueError, TypeError, IndexError, AttributeError) as exc:
            unreadable = unreadable or f"it cannot be read by this version ({name}: {_cause(exc)})"
        else:
            yield from ((name, text) for text in found)
            if name == "readable" and found:
                return  # the other rules need what is gone
    if unreadable:
        yield "readable", unreadable


def _cause(exc: Exception) -> str:
    """Short, and without the record's own texts, which may be prompts."""
    return f"{type(exc).__name__} {str(exc)[:60]}" if isinstance(exc, KeyError) else type(exc).__name__
