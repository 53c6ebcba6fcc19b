"""Reads what Redis keeps of an edit into `Edit`: the one place that knows the short names of a record's fields.

The hash `e:{id}` holds only values of up to 64 bytes, so that Redis keeps it packed; longer texts stand in `i:`, `x:`.

fm format · st status · pl place · tn tenant · pr priority · at attempt · fe fence · nu nudges · lm livemode
ex expires (ms)
cr/up/en created, updated, ended (ms) · wt/ws what it waits for, since · la last event · qa arrival in the queue
li lease end · sa claimed to submit at · ti task id · ts the provider's status · ta task accepted at · tr run started at
nl when its task was to be looked at next (ms) · ou ms by which looks came too late so far, which no deadline counts
tb tasks bought · rt tries of this step · ar automatic re-buys · sp steps · hv may buy anew if nothing is to be had
cu/cs cost of all its tasks: units, state · tu units of the task · ek/er/ec error: kind, retryable, provider's code
rx/rb/rs/rw/rh/ra result: extension, bytes, sha256, width, height, attempt
x: msg error message · addr the result's address · sent the picture's address as sent · cand task id a callback named ·
extra other paid tasks · task:{id} units and fate of such a task · idem idempotency key
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple

from edits.db.scripts import Script
from edits.errors import NewerFormat
from edits.models import Edit, EditError, EditInput, EditResult, TimelineEvent, Wait, from_ms
from edits.pacing.pace import Took
from edits.storage import layout

FORMAT: Final = 1
"""Of the records that are written here, as in `_record.lua`; one without `fm` has format 1 (docs/decisions)"""

_WRITTEN: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_TOOK: Final = re.compile(r"([0-9]+),([0-9]+),([0-9]+)")
CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}


def pairs(flat: Iterable[str]) -> dict[str, str]:
    items = iter(flat)
    return dict(zip(items, items, strict=True))


def written_input(edit: Edit) -> str:
    """The unchanging part of an edit, as `i:{id}` keeps it."""
    kept: dict[str, Any] = {name: value for name, value in edit.input if value is not None}
    if edit.external_id is not None:
        kept["external_id"] = edit.external_id
    if edit.metadata:
        kept["metadata"] = edit.metadata
    return _WRITTEN(kept)


def read_input(text: str) -> EditInput:
    kept = json.loads(text)
    return EditInput(**{name: value for name, value in kept.items() if name not in {"external_id", "metadata"}})


def read(edit_id: str, e: dict[str, str], text: str, x: dict[str, str]) -> Edit:
    """Raises NewerFormat: what a later release wrote may mean something else."""
    if int(e.get("fm", FORMAT)) > FORMAT:
        raise NewerFormat(edit_id)
    kept = json.loads(text)
    external_id, metadata = kept.pop("external_id", None), kept.pop("metadata", {})
    ended, expires = e.get("en"), e.get("ex")
    return Edit(
        id=edit_id,
        tenant=e["tn"],
        livemode=e["lm"] == "1",
        status=e["st"],
        attempt=int(e["at"]),
        priority=e["pr"],
        external_id=external_id,
        metadata=metadata,
        input=EditInput(**kept),
        created_at=from_ms(int(e["cr"])),
        updated_at=from_ms(int(e["up"])),
        finished_at=from_ms(int(ended)) if ended else None,
        expires_at=from_ms(int(expires)) if expires else None,
        waiting_for=e.get("wt"),
        waiting_since=from_ms(int(e["ws"])) if "ws" in e else None,
        task_id=e.get("ti"),
        task_status=e.get("ts"),
        tasks_bought=int(e["tb"]),
        other_task_ids=tuple(x.get("extra", "").split()),
        result=_result(edit_id, e),
        error=_error(e, x),
        cost_units=int(e["cu"]),
        cost_state=e["cs"],
    )


class Row(NamedTuple):
    """What the script `read` says of one edit: its record, and what holds it where it is, with the ms since when."""

    fields: list[str]
    text: str
    texts: list[str]
    timeline: str
    now: int  # ms, by the clock of Redis
    held: str | Literal[False]
    since: int | None = None

    def edit(self, edit_id: str) -> Edit:
        """An edit that is held waits for what holds it; its timeline will say the same."""
        edit = read(edit_id, pairs(self.fields), self.text, pairs(self.texts))
        if not self.held or edit.waiting_for is Wait.PAUSED:
            return edit
        since = edit.waiting_since
        if self.since is not None:
            since = max(from_ms(self.since), since or from_ms(0))
        return edit.model_copy(update={"waiting_for": Wait(self.held), "waiting_since": since})

    def events(self) -> list[TimelineEvent]:
        return list(read_timeline(self.timeline))


def _rows(reply: list[str | None]) -> list[Row | None]:
    return [Row(*json.loads(row)) if row else None for row in reply]


READ: Final = Script("read", _rows)


def _result(edit_id: str, e: dict[str, str]) -> EditResult | None:
    if e["st"] != "succeeded":
        return None
    return EditResult(
        key=layout.result_key(edit_id, int(e["ra"]), e["rx"]),
        content_type=CONTENT_TYPES[e["rx"]],
        bytes=int(e["rb"]),
        sha256=e["rs"],
        width=int(e["rw"]),
        height=int(e["rh"]),
    )


def _error(e: dict[str, str], x: dict[str, str]) -> EditError | None:
    if e["st"] != "failed":
        return None
    code = e.get("ec")
    return EditError(
        kind=e["ek"],
        message=x.get("msg", ""),
        retryable=e.get("er") == "1",
        provider_code=int(code) if code else None,
    )


def read_took(lines: Iterable[str]) -> list[Took]:
    """What each task took: `wait,run,1 if a callback told of its end`, in milliseconds.

    It is only a hint, so what a later release adds and what cannot be read is passed over.
    """
    rows = (_TOOK.match(line) for line in lines)
    return [Took(int(row[1]) / 1000, int(row[2]) / 1000, called_back=row[3] != "0") for row in rows if row]


def read_timeline(text: str) -> Iterator[TimelineEvent]:
    before: int | None = None
    for seq, line in enumerate(text.splitlines(), start=1):
        name, at, wait, data = json.loads(line)
        yield TimelineEvent(
            seq=seq,
            at=from_ms(at),
            type=name,
            wait=Wait(wait) if wait else None,
            duration_ms=at - before if before is not None else 0,
            data=data or {},
        )
        before = at
