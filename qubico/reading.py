"""Lenient readers of one JSON value each: what cannot be read comes out empty or None, never as an exception."""

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this would be the year 5138
_MOST_LOG_LINES = 50
_LONGEST_ID = 512
_MOST_LOG_TEXT = 2000


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    if not value.isascii():  # a lone surrogate from JSON would break a later encoder
        value = value.encode("utf-8", "replace").decode("utf-8")
    return value.strip()


def whole(value: object) -> int | None:
    """An integer of at most 53 bits, which every JSON reader keeps exactly; also written as a float or a string."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and abs(value) < 1 << 53 else None


def identifier(value: object) -> str:
    """A UUID in every answer seen; anything that can be a part of a path is taken, since losing an id costs a task."""
    found = str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)
    return found if len(found) <= _LONGEST_ID and found.strip(".") else ""


def dollars(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value).strip())
    except (InvalidOperation, ValueError):  # ValueError: an int of too many digits
        return None
    return amount if amount.is_finite() and abs(amount) < 10**12 else None


def moment(value: object) -> datetime | None:
    """An ISO 8601 text or Unix time, in UTC. Year 1 and 0 are how the provider writes "not yet"."""
    try:
        if isinstance(value, str) and not _WHOLE.fullmatch(value.strip()):
            read = datetime.fromisoformat(value.strip())
            if read.year == 1:
                return None  # before any shift: west of UTC it would overflow
            return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
        seconds = whole(value) or 0
        if seconds <= 0:
            return None
        return datetime.fromtimestamp(seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def lines(value: object) -> tuple[str, ...]:
    """Logs: null, strings or objects; the last of them, each cut."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return ()
    return tuple(line[:_MOST_LOG_TEXT] for item in value[-_MOST_LOG_LINES:] if (line := _line(item)))


def _line(item: object) -> str:
    if isinstance(item, dict):
        return next((found for key in ("message", "content", "msg") if (found := text(item.get(key)))), _dumped(item))
    return text(item)


def _dumped(value: object) -> str:
    try:
        return text(json.dumps(value, ensure_ascii=False))
    except (ValueError, TypeError, RecursionError):
        return ""


def addresses(value: object) -> Iterator[str]:
    """Every non-empty text in a string, a list of strings, or a list of objects with a `url`."""
    for item in value if isinstance(value, list) else [value]:
        found = text(item.get("url")) if isinstance(item, dict) else text(item)
        if found:
            yield found
