"""Request headers: `Prefer: wait` and `Idempotency-Key`."""

import re
from typing import Final

from fastapi import Request

from api.errors import invalid

LONGEST_WAIT: Final = 55
"""Seconds; below the 60 after which many proxies give up."""

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
