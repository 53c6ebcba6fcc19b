"""What an HTTP answer of the provider means: a pure table from status, headers and body to one error of `errors`."""

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from qubico import prose, reading, schemas
from qubico.errors import AccountBlocked, AnswerLost, QubicoError, Rejected, Throttled, Unavailable, Unreadable

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_LONGEST_RETRY_AFTER = 86_400.0
# Statuses of a create by which the server (or a proxy) says it may not have finished reading or working.
_UNDECIDED = frozenset({408, 425, 499})


@dataclass(frozen=True)
class Answer:
    """Payload None: the body is not a JSON object, so it is not the provider who speaks, or not all of it arrived."""

    status: int
    headers: Mapping[str, str]
    payload: dict[str, Any] | None
    api_key: str = field(repr=False)  # not to be found in any text that leaves here

    @classmethod
    def read(cls, status: int, headers: Mapping[str, str], content: bytes, *, api_key: str) -> "Answer":
        try:
            payload = json.loads(content)
        except (ValueError, RecursionError):
            payload = None
        whole = payload if isinstance(payload, dict) else None
        return cls(status=status, headers=headers, payload=whole, api_key=api_key)

    @property
    def code(self) -> int:
        """The HTTP status, unless that says all is well and the envelope's `code` (200, 0 or absent if so) does not."""
        code = reading.whole((self.payload or {}).get("code"))
        return code if self.status < 300 and code is not None and 400 <= code < 600 else self.status

    def task(self) -> schemas.Task | None:
        """The task it shows, under any HTTP status: a failed one may come with 500."""
        try:
            task = schemas.parse_task(self.payload)
        except Unreadable:
            return None
        return task.model_copy(update={"message": self.shown(task.message)}) if self.api_key in task.message else task

    def shown(self, text: str) -> str:
        return prose.shown(text.replace(self.api_key, "***"))


def refusal(answer: Answer, *, creating: bool) -> QubicoError:
    """The error of an answer without the expected content."""
    texts = schemas.error_texts(answer.payload)
    said = answer.shown(texts[0]) if texts else f"HTTP {answer.code} without a readable text"
    if answer.code == 429:
        return Throttled(retry_after(answer.headers, now=datetime.now(UTC)), said)
    if _blocks_the_account(answer, texts, creating=creating):
        return AccountBlocked(said)
    if answer.payload is not None and _refuses_for_good(answer.code, creating=creating):
        code = reading.whole(reading.mapping(reading.mapping(answer.payload.get("data")).get("error")).get("code"))
        return Rejected(said, code or answer.code, moderated=prose.speaks_of_moderation(texts))
    kind = prose.shown(answer.headers.get("content-type", "no content type"))
    lost = AnswerLost if creating else Unavailable
    return lost(f"HTTP {answer.status}, {kind}: {said if answer.payload is not None else 'not a JSON object'}")


def _blocks_the_account(answer: Answer, texts: list[str], *, creating: bool) -> bool:
    if answer.code in {401, 402} or prose.speaks_of_missing_credit(texts):
        return True
    if answer.code != 403 or answer.payload is None:  # a 403 in plain text is the front of the provider, not its API
        return False
    return not (creating and prose.speaks_of_the_model(texts))


def _refuses_for_good(code: int, *, creating: bool) -> bool:
    if creating:
        return 400 <= code < 500 and code not in _UNDECIDED
    return code in {400, 422}


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds from now; a date is measured against the answer's own Date, if it has one."""
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), _LONGEST_RETRY_AFTER)
    until = _http_date(value)
    if until is None:
        return None
    seconds = (until - (_http_date(headers.get("date", "")) or now)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)


def _http_date(value: str) -> datetime | None:
    try:
        read = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read
