"""Types of settings: each parses the text of one setting, and its errors say what to write instead."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr, StringConstraints, TypeAdapter

# Units, largest first.
_MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_BYTES = {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024, "": 1, "B": 1}

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_SHORT = re.compile(rf"{_NUMBER}(ms|s|m|h|d)")
# Without years and months, which have no fixed length.
_ISO = re.compile(
    rf"P(?=[0-9]|T[0-9])(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=[0-9])(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
)
_LONGEST = timedelta(days=36500).total_seconds() * 1000
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*\.?")
_ITEMS = TypeAdapter(tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)], ...])
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_SIGNING_KEY_BYTES = 32


def duration(text: str) -> timedelta:
    if short := _SHORT.fullmatch(text):
        milliseconds = float(short[1]) * _MILLISECONDS[short[2]]
    elif iso := _ISO.fullmatch(text):
        units = (7 * _MILLISECONDS["d"], *_MILLISECONDS.values())
        milliseconds = sum(float(part or 0) * unit for part, unit in zip(iso.groups(), units, strict=False))
    elif re.fullmatch(r"-?[0-9.]+", text):
        raise ValueError(f"{text!r} has no unit; write it like {text}s, {text}m, {text}h or {text}d")
    else:
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 15m, 2h, 30d or PT15M")
    if not 0 < milliseconds <= _LONGEST:
        raise ValueError(f"{text!r} is out of range; write a duration longer than 0s and shorter than 100 years")
    return timedelta(milliseconds=milliseconds)


def show_duration(value: timedelta) -> str:
    return _in_units(round(value.total_seconds() * 1000), _MILLISECONDS)


def size(text: str) -> int:
    found = re.fullmatch(r"([0-9]+)\s?([A-Za-z]*)", text)
    if not found or found[2] not in _BYTES:
        raise ValueError(f"{text!r} is not a size; write bytes, or a whole number with KiB, MiB or GiB, like 20MiB")
    if not int(found[1]):
        raise ValueError("the size must be above 0")
    return int(found[1]) * _BYTES[found[2]]


def show_size(value: int) -> str:
    return _in_units(value, _BYTES)


def _in_units(number: int, units: dict[str, int]) -> str:
    """The number in the largest unit that divides it."""
    unit = next(unit for unit, factor in units.items() if number % factor == 0)
    return f"{number // units[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class MemoryCap:
    """A number of bytes, or a percentage of the memory that a server may use."""

    bytes: int | None = None
    percent: int | None = None

    def __str__(self) -> str:
        return show_size(self.bytes) if self.bytes is not None else f"{self.percent}%"

    def of(self, total: int) -> int | None:
        """In bytes; None for a percentage of an unknown total (0)."""
        return self.bytes or total * (self.percent or 0) // 100 or None


def memory_cap(text: str) -> MemoryCap:
    if re.fullmatch(r"(100|[1-9][0-9]?)\s?%", text):
        return MemoryCap(percent=int(text.rstrip(" %")))
    try:
        return MemoryCap(bytes=size(text))
    except ValueError:
        raise ValueError(f"{text!r} is neither a share from 1% to 100% nor a size like 4GiB") from None


def rate(text: str) -> float:
    with suppress(ValueError):
        if 0 < (number := float(text)) < math.inf:
            return number
    raise ValueError(f"{text!r} is not a rate; write a number above 0, like 5 or 0.5")


def switch(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(f"{text!r} is not a switch; write true or false")
    return text.lower() in _TRUE


def strings(text: str) -> tuple[str, ...]:
    if not text.startswith("["):
        return tuple(item.strip() for item in text.split(",") if item.strip())
    try:
        return _ITEMS.validate_json(text)
    except ValueError:
        raise ValueError('not a list; separate items by commas or write JSON like ["a", "b"]') from None


def host_name(text: str) -> str:
    name = text.strip("[]").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not _HOST.fullmatch(name):
            raise ValueError(f"{text!r} is not a host; write a name or an address, without scheme or port") from None
    return name


def split_host(text: str) -> tuple[str, int | None]:
    """The host and the port, None if there is none. Raises ValueError."""
    written = re.fullmatch(r"(\[[^\]]+\]|[^:]+):([0-9]+)", text)
    host, port = (written[1], int(written[2])) if written else (text, None)
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"{text!r}: the port must be from 1 to 65535")
    return host_name(host), port


def join_host(host: str, port: int | None) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def reached_at(host: str) -> str:
    """The address at which clients on the same machine reach a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked up, never listened on


def _network(text: str) -> str:
    try:
        if text != "*":
            ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not an address; write like 10.0.0.1, 10.0.0.0/8 or *") from None
    return text


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"{text!r} starts with an unknown user; write an absolute path") from None


def _signing_key(text: str) -> str:
    if (length := len(text.encode())) < _SIGNING_KEY_BYTES:
        raise ValueError(f"the key has {length} bytes; write at least {_SIGNING_KEY_BYTES}: openssl rand -hex 32")
    return text


def _whole(low: int, high: int | None = None) -> BeforeValidator:
    allowed = f"from {low} to {high}" if high else f"of {low} or more"

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= (high or int(text)):
            raise ValueError(f"{text!r} is not allowed; write a whole number {allowed}")
        return int(text)

    return BeforeValidator(parse)


def _matching(pattern: str, problem: str) -> Callable[[str], str]:
    """A parser that accepts only what the pattern matches. `{!r}` in `problem` shows the text: never for a secret."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(problem.format(text))
        return text

    return parse


def _each(parse: Callable[[str], str]) -> BeforeValidator:
    return BeforeValidator(lambda text: tuple(parse(item) for item in strings(text)))


_origin = _matching(
    r"\*|https?://[^/\s?#@]+", "{!r} is not an origin; write like https://app.example.com, without a path"
)
_namespace = _matching(r"[a-z0-9-]{1,40}", "{!r} is not a namespace; write up to 40 of a-z, 0-9 and -")
_user = _matching(r"[!-9;-~]{1,64}", "the user must be up to 64 printable ASCII characters without blanks or colons")
# Secrets are sent in HTTP headers, which allow no other characters.
_secret = _matching(r"[!-~]+", "the secret may hold printable ASCII characters only, without blanks")

Duration = Annotated[timedelta, BeforeValidator(duration)]
Size = Annotated[int, BeforeValidator(size)]
Memory = Annotated[MemoryCap, BeforeValidator(memory_cap)]
Port = Annotated[int, _whole(1, 65535)]
Count = Annotated[int, _whole(1)]
CountOrNone = Annotated[int, _whole(0)]
Rate = Annotated[float, BeforeValidator(rate)]
Switch = Annotated[bool, BeforeValidator(switch)]
Host = Annotated[str, BeforeValidator(host_name)]
ResultHosts = Annotated[tuple[str, ...], _each(lambda text: join_host(*split_host(text)))]
Networks = Annotated[tuple[str, ...], _each(_network)]
Origins = Annotated[tuple[str, ...], _each(_origin)]
Folder = Annotated[Path, BeforeValidator(_folder)]
Namespace = Annotated[str, BeforeValidator(_namespace)]
User = Annotated[str, BeforeValidator(_user)]
SigningKey = Annotated[SecretStr, BeforeValidator(_signing_key)]
HeaderSecret = Annotated[SecretStr, BeforeValidator(_secret)]


def show(value: Any) -> str:
    """A parsed value as an operator would write it; no secrets."""
    match value:
        case bool():
            return str(value).lower()
        case timedelta():
            return show_duration(value)
        case tuple():
            return ",".join(value) or "[]"
        case float():
            return str(value).removesuffix(".0")
    return str(value)
