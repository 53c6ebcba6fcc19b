"""Query parameters, and the headers `Prefer: wait` and `Idempotency-Key`.

Unknown parameters and times without a zone are refused.
"""

import re
from typing import Annotated, Any, Final

from fastapi import Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from api.errors import invalid
from edits.models import EditStatus, read_id

LONGEST_WAIT: Final = 55  # seconds; below the 60 after which many proxies give up

_WAIT: Final = re.compile(r"wait(?:\s*=\s*(?:\"(\d{1,9})\"|(\d{1,9})))?\s*(?:;.*)?", re.IGNORECASE)
_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")

PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string", "examples": ["wait=30"]},
    "description": "`wait` or `wait=N`: answer when the edit has ended, after at most 55 s.",
}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "Printable ASCII, quoted or not: the same key with the same body gives the same edit for 24 hours.",
}
"""Both as in OpenAPI: routes read them themselves."""


def _by_comma(value: Any) -> Any:
    """Takes `a,b` and repeated parameters."""
    if not isinstance(value, list):
        return value
    return [part.strip() for item in value for part in str(item).split(",") if part.strip()]


def _as_written(value: Any) -> Any:
    """Refuses plain numbers, which may be seconds or milliseconds. A `+02:00` sent unencoded arrives as ` 02:00`."""
    if isinstance(value, str) and ":" not in value:
        raise PydanticCustomError("datetime", "write the time as 2026-01-15T09:20:11Z")
    return _UNENCODED.sub(r"\1+\2", value) if isinstance(value, str) else value


_UNENCODED: Final = re.compile(r"(:\d\d\S*) (\d\d:?\d\d)$")

Moment = Annotated[AwareDatetime, BeforeValidator(_as_written)]


class ListQuery(BaseModel, frozen=True):
    status: Annotated[list[EditStatus], BeforeValidator(_by_comma)] = Field(
        default=[], max_length=7, description="Comma-separated."
    )
    created_after: Moment | None = Field(default=None, description="ISO 8601 with a time zone; exclusive.")
    created_before: Moment | None = Field(default=None, description="ISO 8601 with a time zone; exclusive.")
    external_id: str | None = Field(default=None, min_length=1, max_length=128)
    ids: Annotated[list[Annotated[str, AfterValidator(read_id)]], BeforeValidator(_by_comma)] = Field(
        default=[], max_length=200, description="Up to 200, comma-separated; unknown ids are left out."
    )
    limit: int = Field(default=20, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=4096, description="`next_cursor` of the previous page.")


def wait_of(request: Request) -> int | None:
    """Seconds to wait for the end, or None. A preference that cannot be read is ignored (RFC 7240)."""
    for sent in request.headers.getlist("prefer"):
        for preference in sent.split(","):
            match = _WAIT.fullmatch(preference.strip())
            if match:
                seconds = match[1] or match[2]
                return LONGEST_WAIT if seconds is None else min(int(seconds), LONGEST_WAIT)
    return None


def idempotency_key_of(request: Request) -> str | None:
    sent = request.headers.getlist("idempotency-key")
    if not sent:
        return None
    key = sent[0].strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if len(sent) > 1 or not _KEY.fullmatch(key):
        raise invalid(("header:Idempotency-Key", "invalid", "send one key of 1 to 255 printable ASCII characters"))
    return key
