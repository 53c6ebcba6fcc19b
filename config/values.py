"""Values as operators write them: each parser takes the text of a setting and refuses what could be meant two ways."""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SHORT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
# Years and months have no fixed length, so they are not durations here.
_ISO = re.compile(
    rf"P(?=[0-9]|T[0-9])(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=[0-9])(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
)
_LONGEST = timedelta(days=36500)
_SIZES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE = re.compile(r"([0-9]+)\s?([A-Za-z]*)")
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*\.?")
_SIGNING_KEY_BYTES = 32


def _text(parse: Callable[[str], Any]) -> BeforeValidator:
    """Parse text; a value that was parsed already goes through as it is."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def duration(text: str) -> timedelta:
    if short := _SHORT.fullmatch(text):
        seconds = float(short[1]) * _UNITS[short[2]]
    elif iso := _ISO.fullmatch(text):
        weeks, days, hours, minutes, secs = (float(part or 0) for part in iso.groups())
        seconds = ((weeks * 7 + days) * 24 + hours) * 3600 + minutes * 60 + secs
    elif re.fullmatch(r"-?[0-9.]+", text):
        raise ValueError(f"{text!r} has no unit; write it like {text}s, {text}m, {text}h or {text}d")
    else:
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 15m, 2h, 30d or PT15M")
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise ValueError(f"{text!r} must be longer than nothing and shorter than 100 years")
    return timedelta(seconds=seconds)


def show_duration(value: timedelta) -> str:
    milliseconds = round(value.total_seconds() * 1000)
    for unit in ("d", "h", "m", "s"):
        whole, rest = divmod(milliseconds, int(_UNITS[unit] * 1000))
        if whole and not rest:
            return f"{whole}{unit}"
    return f"{milliseconds}ms"


def size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if not found or found[2] not in _SIZES:
        raise ValueError(f"{text!r} is not a size; write bytes, or a whole number with KiB, MiB or GiB, like 20MiB")
    if not int(found[1]):
        raise ValueError("the size must be above 0")
    return int(found[1]) * _SIZES[found[2]]


def show_size(value: int) -> str:
    for unit in ("GiB", "MiB", "KiB"):
        if value % _SIZES[unit] == 0:
            return f"{value // _SIZES[unit]}{unit}"
    return str(value)


@dataclass(frozen=True, slots=True)
class MemoryCap:
    """So many bytes, or a share of what a server may use."""

    bytes: int | None = None
    percent: int | None = None

    def __str__(self) -> str:
        return show_size(self.bytes) if self.bytes is not None else f"{self.percent}%"

    def of(self, most: int) -> int | None:
        """In bytes; None for a share of an unknown total."""
        if self.bytes is not None:
            return self.bytes
        return most * (self.percent or 0) // 100 if most else None


def _memory_cap(text: str) -> MemoryCap:
    if found := re.fullmatch(r"([0-9]{1,3})\s?%", text):
        if not 1 <= int(found[1]) <= 100:
            raise ValueError(f"{text!r} is not a share; write 1% to 100%")
        return MemoryCap(percent=int(found[1]))
    try:
        return MemoryCap(bytes=size(text))
    except ValueError:
        raise ValueError(f"{text!r} is neither a share like 80% nor a size like 4GiB") from None


def whole(low: int, high: int | None = None) -> BeforeValidator:
    allowed = f"from {low} to {high}" if high is not None else f"of {low} or more"

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= (high if high is not None else 10**18):
            raise ValueError(f"{text!r} is not allowed; write a whole number {allowed}")
        return int(text)

    return _text(parse)


def rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{text!r} is not a rate; write a number above 0, like 5 or 0.5")
    return number


def switch(text: str) -> bool:
    match text.lower():
        case "true" | "1" | "yes" | "on":
            return True
        case "false" | "0" | "no" | "off":
            return False
    raise ValueError(f"{text!r} is not a switch; write true or false")


def strings(text: str) -> tuple[str, ...]:
    if not text.startswith("["):
        return tuple(item for item in (part.strip() for part in text.split(",")) if item)
    try:
        items = json.loads(text)
    except ValueError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) and item.strip() for item in items):
        raise ValueError('not a list; separate items by commas or write JSON like ["a", "b"]')
    return tuple(item.strip() for item in items)


def host_name(text: str) -> str:
    name = text.strip("[]").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not _HOST.fullmatch(name):
            raise ValueError(f"{text!r} is not a host; write a name or an address, without scheme or port") from None
    return name


def split_host(text: str) -> tuple[str, int | None]:
    """A host and its port; None when there is none."""
    written = re.fullmatch(r"(\[[^\]]+\]|[^:]+):([0-9]+)", text)
    host, port = (written[1], int(written[2])) if written else (text, None)
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"{text!r}: the port must be from 1 to 65535")
    return host_name(host), port


def reached_at(host: str) -> str:
    """Where a server that listens on this address is found from the same host."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked up, never listened on


def join_host(host: str, port: int | None) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def _result_hosts(text: str) -> tuple[str, ...]:
    return tuple(join_host(*split_host(item)) for item in strings(text))


def _networks(text: str) -> tuple[str, ...]:
    for item in (items := strings(text)):
        try:
            ipaddress.ip_network(item, strict=False)
        except ValueError:
            if item != "*":
                raise ValueError(f"{item!r} is not an address; write like 10.0.0.1, 10.0.0.0/8 or *") from None
    return items


def _origins(text: str) -> tuple[str, ...]:
    for item in (items := strings(text)):
        if item != "*" and not re.fullmatch(r"https?://[^/\s?#@]+", item):
            raise ValueError(f"{item!r} is not an origin; write like https://app.example.com, without a path")
    return items


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"{text!r} names a user that is not known here; write an absolute path") from None


def _namespace(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", text):
        raise ValueError(f"{text!r} is not a namespace; write up to 40 of a-z, 0-9 and -")
    return text


def _user(text: str) -> str:
    if not re.fullmatch(r"[!-~]{1,64}", text) or ":" in text:
        raise ValueError("the user must be up to 64 printable ASCII characters without blanks or colons")
    return text


def _signing_key(text: str) -> SecretStr:
    if (length := len(text.encode())) < _SIGNING_KEY_BYTES:
        raise ValueError(f"the key has {length} bytes; write at least {_SIGNING_KEY_BYTES}: openssl rand -hex 32")
    return SecretStr(text)


def _header_secret(text: str) -> SecretStr:
    # It travels in an HTTP header, where anything else is lost or forbidden.
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("the secret may hold printable ASCII characters only, without blanks")
    return SecretStr(text)


Duration = Annotated[timedelta, _text(duration)]
Size = Annotated[int, _text(size)]
Memory = Annotated[MemoryCap, _text(_memory_cap)]
Port = Annotated[int, whole(1, 65535)]
Count = Annotated[int, whole(1)]
CountOrNone = Annotated[int, whole(0)]
Rate = Annotated[float, _text(rate)]
Switch = Annotated[bool, _text(switch)]
Host = Annotated[str, _text(host_name)]
ResultHosts = Annotated[tuple[str, ...], _text(_result_hosts)]
Networks = Annotated[tuple[str, ...], _text(_networks)]
Origins = Annotated[tuple[str, ...], _text(_origins)]
Folder = Annotated[Path, _text(_folder)]
Namespace = Annotated[str, _text(_namespace)]
User = Annotated[str, _text(_user)]
SigningKey = Annotated[SecretStr, _text(_signing_key)]
HeaderSecret = Annotated[SecretStr, _text(_header_secret)]


def show(value: Any) -> str:
    """A parsed value as it would be written. Secrets are not for here."""
    match value:
        case bool():
            return "true" if value else "false"
        case timedelta():
            return show_duration(value)
        case tuple():
            return ",".join(value) or "[]"
        case float():
            return f"{value:g}"
    return str(value)
