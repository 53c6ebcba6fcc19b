"""Attempt tokens: signed names of purchases, by which the provider's records show the edit of a task.

A token is `{namespace}.{edit_id}.{attempt}.{mac}`; only a token with a valid MAC counts.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

_PURPOSE = b"retouch attempt token\0"
_MAC_BYTES = 18


@dataclass(frozen=True, slots=True)
class Attempt:
    edit_id: str
    number: int


class Tokens:
    """Signs with `secret`; verifies with it or with `previous`, the secret before the last rotation."""

    def __init__(self, namespace: str, secret: str, previous: str | None = None) -> None:
        self._namespace = namespace
        self._secrets = [s.encode() for s in (secret, previous) if s]

    def sign(self, attempt: Attempt) -> str:
        body = f"{self._namespace}.{attempt.edit_id}.{attempt.number}"
        return f"{body}.{_mac(self._secrets[0], body)}"

    def verify(self, token: str) -> Attempt | None:
        """The attempt that `token` names, or None if we did not sign it for this namespace."""
        body, _, mac = token.rpartition(".")
        parts = body.split(".")
        if not token.isascii() or len(parts) != 3 or parts[0] != self._namespace or not parts[2].isdecimal():
            return None
        if not any(hmac.compare_digest(_mac(secret, body), mac) for secret in self._secrets):
            return None
        return Attempt(edit_id=parts[1], number=int(parts[2]))

    def shown_by(self, endpoint: str | None, secret: str) -> Attempt | None:
        """The attempt of a task: its token ends the address for callbacks, or is the secret for them."""
        shown = ((endpoint or "").rpartition("/")[2], secret)
        return next((attempt for token in shown if token and (attempt := self.verify(token))), None)


def _mac(secret: bytes, body: str) -> str:
    digest = hmac.new(secret, _PURPOSE + body.encode(), hashlib.sha256).digest()[:_MAC_BYTES]
    return base64.urlsafe_b64encode(digest).decode()
