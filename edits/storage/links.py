"""Signed tokens, such as links to files and cursors of lists. Each is valid for one purpose only."""

import base64
import binascii
import hashlib
import hmac
import math
from datetime import datetime

_MAC_BYTES = 18  # 144 bits, and no padding in base64
_LONGEST = 4096  # characters. Longer tokens are refused unread: none of ours comes near.

_OBJECT = "object link"


class LinkInvalid(Exception):
    """The token was not signed here, or for another purpose."""


class LinkExpired(Exception):
    """The token is genuine and has expired."""


class Links:
    """Signs with `secret`; verifies with it and with `previous`, the secret before the last rotation."""

    def __init__(self, secret: str, previous: str | None = None) -> None:
        self._secrets = [text.encode() for text in (secret, previous) if text]
        if not self._secrets:
            raise ValueError("links need a secret: set RETOUCH_SECRET_KEY")

    def sign(self, key: str, *, expires_at: datetime) -> str:
        """A token for the object `key`, valid until `expires_at`, rounded up to the second."""
        if expires_at.tzinfo is None:
            raise ValueError("expires_at needs a time zone")
        return self.seal(_OBJECT, f"{math.ceil(expires_at.timestamp())}:{key}")

    def verify(self, token: str, *, now: datetime) -> str:
        """The object's key; raises LinkInvalid or LinkExpired."""
        expires_at, _, key = self.unseal(_OBJECT, token).partition(":")
        if now.timestamp() >= int(expires_at):
            raise LinkExpired("this link has expired: ask for a new one")
        return key

    def seal(self, purpose: str, payload: str) -> str:
        """A token that is safe in a URL. Its holder can read `payload`, but not change it."""
        body = payload.encode()
        return base64.urlsafe_b64encode(_mac(self._secrets[0], purpose, body) + body).rstrip(b"=").decode()

    def unseal(self, purpose: str, token: str) -> str:
        """The payload that was sealed for `purpose`; raises LinkInvalid."""
        raw = _decoded(token)
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        genuine = [hmac.compare_digest(_mac(secret, purpose, body), mac) for secret in self._secrets]
        if not any(genuine):
            raise LinkInvalid("this link was not made here")
        return body.decode()


def _mac(secret: bytes, purpose: str, body: bytes) -> bytes:
    name = purpose.encode()
    # The length separates purpose and body; the prefix separates these signatures from others by the same secret.
    message = b"retouch sealed\0" + len(name).to_bytes(2) + name + body
    return hmac.digest(secret, message, hashlib.sha256)[:_MAC_BYTES]


def _decoded(token: str) -> bytes:
    """Nothing for a token that is not in the canonical form: Python's decoder skips other characters and loose bits."""
    if not token.isascii() or len(token) > _LONGEST:
        return b""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        return b""
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == token else b""
