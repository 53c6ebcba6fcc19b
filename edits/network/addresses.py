"""Checks an address by its text: can the provider take it, and is it private? Nothing here uses the network."""

from typing import Final
from urllib.parse import urlsplit

from edits.network import guard

MAX_LENGTH: Final = 2048

_NO_ADDRESS: Final = "not an address: write it like https://example.com/picture.png"
_PRIVATE_ENDINGS: Final = (
    ".localhost", ".local", ".localdomain", ".internal", ".lan", ".home.arpa", ".test", ".invalid", ".onion",
)  # fmt: skip
_PORTS: Final = {"https": 443, "http": 80}


def fault(address: str) -> str | None:
    """Why `address` cannot be passed on to the provider, in words for its sender; None if it can."""
    if len(address) > MAX_LENGTH:
        return f"an address has at most {MAX_LENGTH} characters"
    if not address.isprintable() or " " in address or "\\" in address:
        return "percent-encode the spaces, control characters and backslashes of the address"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return _NO_ADDRESS
    if parts.scheme not in _PORTS:
        return "must be an https:// or http:// address, or a data:image/png|jpeg|webp;base64,… URI"
    if "@" in parts.netloc:
        return "an address must not hold a user name or password: it is passed on to the provider"
    return None if host else _NO_ADDRESS


def place(address: str) -> tuple[str, int]:
    """The host and port that an address without a fault leads to."""
    parts = urlsplit(address)
    return (parts.hostname or "").rstrip("."), parts.port or _PORTS[parts.scheme]


def is_private(address: str) -> bool:
    """Whether only this machine or its own network reaches `address`, as far as its host's spelling tells."""
    host = urlsplit(address).hostname or ""
    ip = guard.literal(host)
    if ip is not None:
        return not guard.is_public(ip)
    name = guard.plain(host)
    return "." not in name or name.endswith(_PRIVATE_ENDINGS)
