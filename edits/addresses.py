"""What a picture's address may look like, and whether it can be reached from outside. Nothing here asks the network."""

import ipaddress
from urllib.parse import urlsplit

MAX_LENGTH = 2048

_NO_ADDRESS = "this is no address: write it like https://example.com/picture.png"

_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")


def fault(address: str) -> str | None:
    """Why `address` cannot be passed on to the provider, in words for whoever sent it; None if it can."""
    if len(address) > MAX_LENGTH:
        return f"an address may have up to {MAX_LENGTH} characters"
    if not address.isprintable() or " " in address or "\\" in address:
        return "an address has no spaces, control characters or backslashes: percent-encode them"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return _NO_ADDRESS
    if parts.scheme not in {"http", "https"}:
        return "must be an https:// or http:// address, or a data:image/png|jpeg|webp;base64,… URI"
    if "@" in parts.netloc:
        return "an address must not hold a user name or password: it is passed on to the provider"
    return None if host else _NO_ADDRESS


def is_private(address: str) -> bool:
    """Whether only this machine or its own network can reach `address`, as far as the name of its host tells."""
    host = (urlsplit(address).hostname or "").rstrip(".").lower()
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_ENDINGS)
