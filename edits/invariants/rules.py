"""The rules of one record: pure functions of its facts that tell each thing which is wrong, or nothing."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from edits.db.constants import HORIZON
from edits.db.fields import Field
from edits.errors import NewerFormat
from edits.invariants.facts import Facts, edit_of
from edits.models import FINAL, Wait

PACKED_VALUE: Final = 64
"""Bytes; one longer value turns the whole hash into a hashtable."""

PLACES: Final = {
    "queued": {"queue"},
    "submitting": {"submit", "adopt"},
    "processing": {"poll"},
    "storing": {"store"},
    "succeeded": {"final"},
    "failed": {"final"},
    "canceled": {"final"},
}
SETS: Final = {"queue": "queue", "submit": "submit", "adopt": "adopt", "poll": "poll", "store": "store",
               "retention": "final"}  # fmt: skip
"""Set that an edit is in → the place that it stands for; in none of the others."""

AFTER_THE_END: Final = frozenset({"extra_task", "task_ended"})
"""Events that may come when nothing is waited for."""

BUYS_AGAIN: Final = frozenset({"bought_again", "retried"})
"""Events after which one purchase more is allowed: by a setting, or by a person."""

MAY_NOT_ADD_UP: Final = 0.01
"""Share of the whole life by which the spans of a timeline may miss it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long an edit may be due in each set before nobody can be working on it: ms."""

    overdue: Mapping[str, float] = field(default_factory=dict)


class Line:
    """One event of a timeline: name, ms, the wait that ended with it, data."""

    __slots__ = ("at", "data", "name", "wait")

    def __init__(self, text: str) -> None:
        name, at, wait, data = json.loads(text)
        if not isinstance(name, str) or not isinstance(at, int) or not isinstance(wait, str):
            raise TypeError("an event is [name, ms, wait, data]")
        self.name, self.at, self.wait, self.data = name, at, wait, data or {}


def lines_of(facts: Facts) -> list[Line]:
    return [Line(text) for text in (facts.timeline or "").splitlines()]


def readable(facts: Facts, _: Bounds) -> Iterator[str]:
    if facts.input is None:
        yield "its input is gone"
    elif not facts.timeline:
        yield "its timeline is gone"
    else:
        edit_of(facts)
        lines_of(facts)


def one_place(facts: Facts, _: Bounds) -> Iterator[str]:
    e, scores = facts.e, facts.scores
    found = sorted(place for name, place in SETS.items() if name in scores)
    if found != [e[Field.PLACE]]:
        yield f"it says {e['pl']} and is in {', '.join(found) or 'no place'}"
    if e[Field.PLACE] not in PLACES[e[Field.STATUS]]:
        yield f"it is {e['st']} and in {e['pl']}"
    if e[Field.PLACE] == "queue" and "tenants" not in scores:
        yield f"it is queued and its tenant {e['tn']} is not in line: nobody will claim it"
    if "expiring" in scores and e[Field.PLACE] != "queue":
        yield f"it is {e['st']} and still among those that expire in the queue"
    if e[Field.PLACE] == "queue" and (Field.EXPIRES in e) != ("expiring" in scores):
        yield "its expires_in is not watched" if Field.EXPIRES in e else "it has no expires_in and is watched for it"
    if "manifest" in scores and e[Field.PLACE] != "final":
        yield "it has not ended and waits for its manifest"
    if "index" not in scores:
        yield "it is not in its tenant's index: lists do not show it"
    if facts.external_id is not None and "ext" not in scores:
        yield "it is not found by its external_id"


def packed(facts: Facts, _: Bounds) -> Iterator[str]:
    for name, value in facts.e.items():
        if len(value.encode()) > PACKED_VALUE:
            yield f"{name} has {len(value.encode())} bytes"


def timeline(facts: Facts, _: Bounds) -> Iterator[str]:
    e, lines = facts.e, lines_of(facts)
    if lines[0].name != "accepted" or lines[0].at != int(e[Field.CREATED]):
        yield "it does not begin with its acceptance"
    moments = [line.at for line in lines]
    if moments != sorted(moments):
        yield "its events are out of order"
    if moments[-1] != int(e[Field.LAST_EVENT]):
        yield f"its last event is of {moments[-1]}, the record says {e['la']}"
    for line in lines[1:]:
        if not line.wait and line.name not in AFTER_THE_END:
            yield f"the wait before {line.name} has no name"
        elif line.wait:
            Wait(line.wait)
    yield from _waits(facts)
    yield from _adds_up(facts, lines)


def _waits(facts: Facts) -> Iterator[str]:
    """What it waits for now has a name; what has ended waits for nothing."""
    e = facts.e
    if e[Field.STATUS] in FINAL:
        if Field.WAIT in e or Field.ENDED not in e:
            yield "it has ended and waits for something" if Field.WAIT in e else "it has ended, and does not say when"
    elif Field.WAIT not in e or Field.WAIT_SINCE not in e:
        yield "what it waits for has no name"
    else:
        Wait(e[Field.WAIT])
        if Field.ENDED in e:
            yield "it goes on, and says that it has ended"
        elif int(e[Field.WAIT_SINCE]) < int(e[Field.CREATED]):
            yield "its wait began before it was accepted"


def _adds_up(facts: Facts, lines: list[Line]) -> Iterator[str]:
    """The named spans make up the whole life: to its end, or to its last event."""
    e = facts.e
    end = int(e.get(Field.ENDED, e[Field.LAST_EVENT]))
    whole = end - int(e[Field.CREATED])
    spans = sum(after.at - before.at for before, after in pairwise(lines) if after.at <= end)
    if abs(whole - spans) > max(1, whole * MAY_NOT_ADD_UP):
        yield f"its spans are {spans} ms of {whole}"


def horizon(facts: Facts, _: Bounds) -> Iterator[str]:
    for name in ("submit", "adopt", "poll", "store", "manifest"):
        ahead = facts.scores.get(name, 0) - facts.now
        if ahead > HORIZON:
            yield f"it is due in {name} only in {ahead / 1000:.0f} s"


def overdue(facts: Facts, bounds: Bounds) -> Iterator[str]:
    for name, allowed in bounds.overdue.items():
        late = facts.now - facts.scores.get(name, facts.now)
        if late > allowed:
            yield f"it is due in {name} for {late / 1000:.0f} s, and {allowed / 1000:.0f} s are the most"


def tasks(facts: Facts, _: Bounds) -> Iterator[str]:
    e = facts.e
    for task, owner in facts.owners.items():
        if owner != facts.id:
            yield f"its task {task} serves {owner or 'no edit'}"
    if int(e[Field.TASKS_BOUGHT]) != len(facts.owners):
        yield f"it counts {e['tb']} tasks bought and names {len(facts.owners)}"
    if e[Field.STATUS] in {"processing", "storing"} and Field.TASK not in e:
        yield f"it is {e['st']} without a task"
    if e[Field.STATUS] not in FINAL and e.get(Field.TASK) in facts.abandoned:
        yield f"its task {e['ti']} is followed as if it were given up"


def allowed(facts: Facts) -> int:
    """How many tasks may have been bought: one, and one for each time somebody asked again or a setting allowed it.

    Where the timeline lacks that, as it was full or Redis was set back, the number of the attempt still tells.
    """
    return max(int(facts.e[Field.ATTEMPT]), 1 + sum(line.name in BUYS_AGAIN for line in lines_of(facts)))


def bought_once(facts: Facts, _: Bounds) -> Iterator[str]:
    if int(facts.e[Field.TASKS_BOUGHT]) > allowed(facts):
        yield f"{facts.e['tb']} tasks were bought and {allowed(facts)} allowed: {' '.join(facts.owners)}"


def idempotency(facts: Facts, _: Bounds) -> Iterator[str]:
    if facts.idem is None:
        return
    kept, ttl = facts.idem
    if facts.e[Field.STATUS] in FINAL:
        return
    if kept is None or json.loads(kept).get("id") != facts.id:
        yield "it goes on, and its Idempotency-Key stands for another edit or none"
    elif ttl >= 0:
        yield f"it goes on, and its Idempotency-Key ends in {ttl / 1000:.0f} s"


RULES: Final[Mapping[str, Callable[[Facts, Bounds], Iterator[str]]]] = {
    "readable": readable,
    "one_place": one_place,
    "packed": packed,
    "timeline": timeline,
    "horizon": horizon,
    "overdue": overdue,
    "tasks": tasks,
    "bought_once": bought_once,
    "idempotency": idempotency,
}


def broken(facts: Facts, bounds: Bounds) -> Iterator[tuple[str, str]]:
    """(rule, what is wrong). A record that cannot be read breaks that rule once, whichever rule met it."""
    unreadable = ""
    for name, rule in RULES.items():
        try:
            told = list(rule(facts, bounds))
        except (NewerFormat, KeyError, ValueError, TypeError, IndexError, AttributeError) as exc:
            unreadable = unreadable or f"it cannot be read by this version ({name}: {_cause(exc)})"
        else:
            yield from ((name, said) for said in told)
            if name == "readable" and told:
                return  # the other rules would only stumble over it
    if unreadable:
        yield "readable", unreadable


def _cause(exc: Exception) -> str:
    """Short, and without the record's own texts: those may be prompts."""
    return f"{type(exc).__name__} {str(exc)[:60]}" if isinstance(exc, KeyError) else type(exc).__name__
