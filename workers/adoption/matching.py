"""Matches a task without a token to an edit by its input, and only if it matches no other edit.

What the provider echoes may be normalised: a field left out or emptied says nothing, neither for nor against.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from edits.models import EditInput
from qubico import reading


class Verdict(Enum):
    SAME = "same"  # every field was read and equals the edit's
    OTHER = "other"  # a field differs from the edit's
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Asked:
    """The input of a task or an edit. Texts as digests: they may be megabytes. None: unknown, or not sent."""

    prompt: bytes | None
    image: bytes | None
    width: int | None
    height: int | None
    steps: int | None
    seed: int | None

    @classmethod
    def by_edit(cls, asked: EditInput, sent: str) -> "Asked":
        """`sent`: the picture's address as sent, if it is not the edit's own."""
        image = _text(sent or asked.image)
        return cls(_text(asked.prompt), image, asked.width, asked.height, asked.steps, asked.seed)

    @classmethod
    def by_task(cls, echoed: Mapping[str, Any]) -> "Asked":
        numbers = [_number(echoed.get(name)) for name in ("width", "height", "steps", "seed")]
        return cls(_text(echoed.get("prompt")), _text(echoed.get("image")), *numbers)


@dataclass(frozen=True, slots=True)
class Silent:
    """A task without a token and without a known edit."""

    task_id: str
    asked: Asked
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """An edit whose create has no answer, and when the provider may have accepted it, by the provider's clock."""

    asked: Asked
    earliest: datetime
    latest: datetime


def compare(edit: Wanted, task: Silent) -> Verdict:
    """OTHER: another time, seed, prompt, number of steps, or requested size.

    Another picture address does not: the provider may have put the picture elsewhere. A zero may stand for nothing.
    """
    if task.created_at is not None and not edit.earliest <= task.created_at <= edit.latest:
        return Verdict.OTHER
    ours, theirs = edit.asked, task.asked
    pairs = [(ours.seed, theirs.seed), (ours.prompt, theirs.prompt), (ours.steps, theirs.steps)]
    pairs += [(a, b) for a, b in ((ours.width, theirs.width), (ours.height, theirs.height)) if a is not None]
    if any(b is not None and b not in (0, a) for a, b in pairs):
        return Verdict.OTHER
    same = all(a == b for a, b in [*pairs, (ours.image, theirs.image)])
    return Verdict.SAME if same and ours.image and task.created_at is not None else Verdict.UNCLEAR


def task_for(edit: Wanted, others: Iterable[Wanted], tasks: Iterable[Silent]) -> str | None:
    """The one task that fits the edit and no other edit; None if there is none or more than one."""
    fitting = [task for task in tasks if compare(edit, task) is Verdict.SAME]
    if len(fitting) != 1 or _fits(others, fitting[0]):
        return None
    return fitting[0].task_id


def may_be_among(edit: Wanted, others: Collection[Wanted], tasks: Iterable[Silent]) -> bool:
    """Whether one of these tasks could be the edit's."""
    for task in tasks:
        verdict = compare(edit, task)
        if verdict is Verdict.SAME or (verdict is Verdict.UNCLEAR and not _fits(others, task)):
            return True
    return False


def _fits(edits: Iterable[Wanted], task: Silent) -> bool:
    return any(compare(edit, task) is Verdict.SAME for edit in edits)


def _text(value: object) -> bytes | None:
    if not isinstance(value, str) or not value.strip():
        return None
    return hashlib.sha256(value.strip().encode("utf-8", "replace")).digest()[:16]


def _number(value: object) -> int | None:
    number = reading.whole(value)
    return None if number is None or number < 0 else number  # a seed of -1: to be drawn
