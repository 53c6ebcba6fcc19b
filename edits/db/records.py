"""Reads records of Redis into `Edit`: the one place that gives their fields types."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple

from edits.db.constants import FORMAT
from edits.db.fields import Field, Text
from edits.db.scripts import Script
from edits.errors import NewerFormat
from edits.models import Edit, EditError, EditInput, EditResult, TimelineEvent, Wait, from_ms
from edits.pacing.pace import Took
from edits.storage import layout

_WRITTEN: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_TOOK: Final = re.compile(r"([0-9]+),([0-9]+),([0-9]+)")


def pairs(flat: Iterable[str]) -> dict[str, str]:
    items = iter(flat)
    return dict(zip(items, items, strict=True))


def written_input(edit: Edit) -> str:
    """The unchanging part of an edit, stored in `i:{id}`."""
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
    """Raises NewerFormat: fields of a later release may have another meaning."""
    if int(e.get(Field.FORMAT, FORMAT)) > FORMAT:
        raise NewerFormat(edit_id)
    kept = json.loads(text)
    external_id, metadata = kept.pop("external_id", None), kept.pop("metadata", {})
    ended, expires = e.get(Field.ENDED), e.get(Field.EXPIRES)
    return Edit(
        id=edit_id,
        tenant=e[Field.TENANT],
        livemode=e[Field.LIVEMODE] == "1",
        status=e[Field.STATUS],
        attempt=int(e[Field.ATTEMPT]),
        priority=e[Field.PRIORITY],
        external_id=external_id,
        metadata=metadata,
        input=EditInput(**kept),
        created_at=from_ms(int(e[Field.CREATED])),
        updated_at=from_ms(int(e[Field.UPDATED])),
        finished_at=from_ms(int(ended)) if ended else None,
        expires_at=from_ms(int(expires)) if expires else None,
        waiting_for=e.get(Field.WAIT),
        waiting_since=from_ms(int(e[Field.WAIT_SINCE])) if Field.WAIT_SINCE in e else None,
        task_id=e.get(Field.TASK),
        task_status=e.get(Field.TASK_STATUS),
        tasks_bought=int(e[Field.TASKS_BOUGHT]),
        other_task_ids=tuple(x.get(Text.OTHERS, "").split()),
        result=_result(edit_id, e),
        error=_error(e, x),
        cost_units=int(e[Field.COST]),
        cost_state=e[Field.COST_STATE],
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
        """A held edit waits for the reason that holds it; its timeline will say the same."""
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
    if e[Field.STATUS] != "succeeded":
        return None
    return EditResult(
        key=layout.result_key(edit_id, int(e[Field.RESULT_ATTEMPT]), e[Field.RESULT_EXTENSION]),
        content_type=layout.CONTENT_TYPES[e[Field.RESULT_EXTENSION]],
        bytes=int(e[Field.RESULT_BYTES]),
        sha256=e[Field.RESULT_SHA],
        width=int(e[Field.RESULT_WIDTH]),
        height=int(e[Field.RESULT_HEIGHT]),
    )


def _error(e: dict[str, str], x: dict[str, str]) -> EditError | None:
    if e[Field.STATUS] != "failed":
        return None
    code = e.get(Field.ERROR_CODE)
    return EditError(
        kind=e[Field.ERROR_KIND],
        message=x.get(Text.MESSAGE, ""),
        retryable=e.get(Field.ERROR_RETRYABLE) == "1",
        provider_code=int(code) if code else None,
    )


def read_took(lines: Iterable[str]) -> list[Took]:
    """What each task took: `wait,run,1 if a callback reported its end`, in milliseconds.

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
