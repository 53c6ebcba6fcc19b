"""What an address says by itself: may it be passed on, who reaches it, how long it works. Nothing asks the network."""

import ipaddress
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlsplit

MAX_LENGTH = 2048

_NO_ADDRESS = "this is no address: write it like https://example.com/picture.png"

_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

_SIGNED_FOR: Final = (("x-amz-date", "x-amz-expires"), ("x-goog-date", "x-goog-expires"))
"""When it was signed, and for how many seconds: S3, and Google in its own and in S3's dialect."""

_PORTS: Final = {"https": 443, "http": 80}
_UNIX_SECONDS: Final = re.compile(r"[0-9]{9,11}")
_LIFE: Final = re.compile(r"[0-9]{1,9}")


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


def place(address: str) -> tuple[str, int]:
    """The host and port that an address without a fault leads to."""
    parts = urlsplit(address)
    return (parts.hostname or "").rstrip("."), parts.port or _PORTS[parts.scheme]


def is_private(address: str) -> bool:
    """Whether only this machine or its own network can reach `address`, as far as the name of its host tells."""
    host = (urlsplit(address).hostname or "").rstrip(".").lower()
    try:
        return not is_public(host)
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_ENDINGS)


def is_public(ip: str) -> bool:
    """Whether a host of the internet may have this IP address. Raises ValueError for what is none."""
    meant = _meant(ipaddress.ip_address(ip))
    if meant.version == 6 and (meant.sixtofour or meant.teredo or meant.is_site_local or meant.scope_id):
        return False  # tunnels into other networks, and what has a meaning on this machine's links alone
    return meant.is_global and not (meant.is_multicast or meant.is_reserved)


def _meant(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address behind an IPv6 one: where it leads is what counts, not how it is written."""
    if ip.version == 4:
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip


def expires_at(address: str) -> datetime | None:
    """When a signed address ceases to work, by its own words; None if it says nothing that is understood."""
    sent = urlsplit(address).query
    if not sent:
        return None
    query = {name.lower(): value for name, value in parse_qsl(sent)}
    return min(_ends(query), default=None)


def _ends(query: dict[str, str]) -> Iterator[datetime]:
    for date, life in _SIGNED_FOR:
        signed = _moment(query.get(date, ""))
        if signed and _LIFE.fullmatch(query.get(life, "")):
            with suppress(OverflowError):  # beyond the year 9999
                yield signed + timedelta(seconds=int(query[life]))
    if _UNIX_SECONDS.fullmatch(query.get("expires", "")):  # CloudFront, and the older ways of S3 and Google
        yield datetime.fromtimestamp(int(query["expires"]), UTC)
    if shared := _moment(query.get("se", "")):  # Azure
        yield shared


def _moment(text: str) -> datetime | None:
    """ISO 8601 in either form; without a zone it is in UTC."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
