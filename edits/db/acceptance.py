"""Accepts one edit or thousands: makes the arguments of accept.lua and reads its answers.

Thousands go in chunk by chunk, each sent after the response to the one before.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from edits import errors, fairness
from edits.db import admission, records
from edits.db.admission import Caps, Drain, Verdict
from edits.db.scripts import Script
from edits.db.sender import NoMemory
from edits.models import Edit, Frozen, Wait, from_ms, to_ms

CHUNK: Final = 100  # edits a call: at some 20 µs each, Redis is held for 2 ms


class Idempotency(Frozen):
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    edit: Edit
    replayed: bool


class LeftRedis(Exception):
    """The edit ended some time ago and has left Redis: its manifest has it."""

    def __init__(self, edit_id: str) -> None:
        super().__init__(f"{edit_id} has left Redis")
        self.edit_id = edit_id


Asked = tuple[Edit, Idempotency | None]
Taken = Accepted | errors.EditsError | LeftRedis

_KNOWN: Final = frozenset({"same", "replayed"})


class Judged(NamedTuple):
    now: int  # ms
    edits: list[Verdict]


_ACCEPT: Final = Script("accept", lambda reply: Judged(**json.loads(reply)))
Answer = Judged | errors.EditsError


@dataclass(slots=True)
class Acceptance:
    """`ask` runs a script as the repository does, `read` gives the edits that are there."""

    ask: Callable[..., Awaitable[Judged]]
    read: Callable[[Sequence[str]], Awaitable[list[Edit]]]
    drain: Drain = field(default_factory=Drain, init=False)

    async def many(self, asked: Sequence[Asked], caps: Caps) -> list[Taken]:
        """The outcome of each. After a chunk without an answer nothing is sent: of that one alone it is unknown."""
        taken: list[Taken] = []
        for start in range(0, len(asked), CHUNK):
            chunk = asked[start : start + CHUNK]
            answer = await self._answer(_told(chunk), caps)
            if isinstance(answer, errors.EditsError):
                rest = len(asked) - len(taken) - len(chunk)
                return [*taken, *[answer] * len(chunk), *[_of_the_rest(answer)] * rest]
            taken += await self._meant(chunk, answer, caps)
        return taken

    async def _answer(self, told: dict[str, Any], caps: Caps) -> Answer:
        try:
            return await self.ask(_ACCEPT, lost=unknown(), **told, **caps.arguments)
        except errors.EditsError as exc:
            return admission.no_memory() if isinstance(exc.__cause__, NoMemory) else exc

    async def _meant(self, asked: Sequence[Asked], answer: Judged, caps: Caps) -> list[Taken]:
        known = [given["id"] for given in answer.edits if given["outcome"] in _KNOWN]
        there = await self._there(known) if known else {}
        now = from_ms(answer.now)
        fresh = {"created_at": now, "updated_at": now, "waiting_for": Wait.FAIR_SHARE, "waiting_since": now}
        return [
            Accepted(edit=edit.model_copy(update=fresh), replayed=False)
            if given["outcome"] == "new"
            else self._not_new(given, there, caps)
            for (edit, _), given in zip(asked, answer.edits, strict=True)
        ]

    def _not_new(self, given: Verdict, there: dict[str, Edit] | errors.EditsError, caps: Caps) -> Taken:
        outcome = given["outcome"]
        if outcome == "reused":
            return reused()
        if outcome not in _KNOWN:
            return admission.refusal(given, caps, self.drain)
        if isinstance(there, errors.EditsError):
            return there if outcome == "replayed" else unknown()
        kept = there.get(given["id"])
        return Accepted(edit=kept, replayed=outcome == "replayed") if kept else LeftRedis(given["id"])

    async def _there(self, ids: Sequence[str]) -> dict[str, Edit] | errors.EditsError:
        try:
            return {edit.id: edit for edit in await self.read(ids)}
        except errors.EditsError as exc:
            return exc


def unknown() -> errors.AcceptUnknown:
    return errors.AcceptUnknown(
        "Redis may have accepted the edit. Send it again with the same Idempotency-Key, or look for it in the list."
    )


def reused() -> errors.IdempotencyKeyReused:
    return errors.IdempotencyKeyReused("This Idempotency-Key was used for another request. Send a new key.")


def _of_the_rest(answer: errors.EditsError) -> errors.EditsError:
    """The outcome of unsent edits, by `answer`, the outcome of the chunk before."""
    if isinstance(answer, errors.AcceptUnknown):
        return errors.Unavailable("Not accepted: Redis did not answer for an earlier edit of this request.")
    return answer


def _told(asked: Sequence[Asked]) -> dict[str, Any]:
    alike: dict[tuple[tuple[str, object], ...], int] = {}
    edits = []
    for edit, idempotency in asked:
        place = alike.setdefault(_alike(edit), len(alike) + 1)
        told: dict[str, Any] = {"id": edit.id, "like": place, "input": records.written_input(edit)}
        if edit.external_id is not None:
            told["external_id"] = edit.external_id
        if idempotency is not None:
            told["idem"] = {"key": idempotency.key, "fingerprint": idempotency.fingerprint}
        edits.append(told)
    return {"alike": [dict(one) for one in alike], "edits": edits}


def _alike(edit: Edit) -> tuple[tuple[str, object], ...]:
    """Arguments of accept.lua that several edits share; sent once."""
    shared = {
        "tenant": edit.tenant,
        "livemode": int(edit.livemode),
        "priority": edit.priority,
        "shift": fairness.arrival_shift(edit.priority),
        "task_steps": edit.input.steps,
        "units": edit.cost_units,
    }
    if edit.expires_at:
        shared["expires_in"] = to_ms(edit.expires_at) - to_ms(edit.created_at)
    return tuple(shared.items())
