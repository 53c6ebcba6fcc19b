"""Sealed texts: what we hand out and believe when it comes back, such as links to files and marks of a list's page.

A text sealed for one purpose is worth nothing for another, and nothing is believed before its seal is verified.
"""

import base64
import binascii
import hashlib
import hmac
import math
from datetime import datetime

_MAC_BYTES = 18
"""144 bits, and no padding in base64."""

_LONGEST = 4096
"""Nothing that we seal comes near: what is longer is not ours and is not looked at."""

_OBJECT = "object link"


class LinkInvalid(Exception):
    """We did not make this, or not for this purpose."""


class LinkExpired(Exception):
    """We made it, its time is over: ask for a fresh one."""


class Links:
    """Seals with `secret`; believes it and `previous`, the secret before the last rotation."""

    def __init__(self, secret: str, previous: str | None = None) -> None:
        self._secrets = [text.encode() for text in (secret, previous) if text]
        if not self._secrets:
            raise ValueError("links need a secret: set RETOUCH_SECRET_KEY")

    def sign(self, key: str, *, expires_at: datetime) -> str:
        """A token that stands for the object `key` until `expires_at`, rounded up to the second."""
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
        """`payload` may be read by whoever holds the token, but not changed. The token is safe in a URL."""
        body = payload.encode()
        return base64.urlsafe_b64encode(_mac(self._secrets[0], purpose, body) + body).rstrip(b"=").decode()

    def unseal(self, purpose: str, token: str) -> str:
        """What was sealed for `purpose`; raises LinkInvalid."""
        raw = _decoded(token)
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        genuine = [hmac.compare_digest(_mac(secret, purpose, body), mac) for secret in self._secrets]
        if not any(genuine):
            raise LinkInvalid("this link was not made here")
        return body.decode()


def _mac(secret: bytes, purpose: str, body: bytes) -> bytes:
    name = purpose.encode()
    # The length keeps purpose and body apart, and the first words keep seals apart from all else that the secret signs.
    message = b"retouch sealed\0" + len(name).to_bytes(2) + name + body
    return hmac.digest(secret, message, hashlib.sha256)[:_MAC_BYTES]


def _decoded(token: str) -> bytes:
    if not token.isascii() or len(token) > _LONGEST:
        raise LinkInvalid("this link was not made here")
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        raise LinkInvalid("this link was not made here") from None
    # Python's decoder skips what is not base64 and ignores loose bits: only the one form that we write is ours.
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != token:
        raise LinkInvalid("this link was not made here")
    return raw
