"""Addresses as settings: which schemes each may have, and how it is shown without its password."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from pydantic import BeforeValidator

from config import values

REDIS_SCHEMES = ("redis", "rediss", "unix", "sentinel")
STORAGE_SCHEMES = ("file", "s3", "gs", "az")
_CREDENTIALS = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://)[^/\s]*@", re.IGNORECASE)
_LOOPBACK = re.compile(r"localhost|127(?:\.\d+){3}|::1")
# Redis has 16 databases unless its operator said otherwise.
_LAST_DATABASE = 15


@dataclass(frozen=True, slots=True)
class HoldsPassword:
    """Marks a setting whose address may hold a password: also taken from NAME_FILE, shown masked."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis or Valkey: by host, by socket, or by the sentinels that know it."""

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    master: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    user_part: str = ""  # as it was written, so that an address can be written again

    def at(self, database: int) -> RedisAddress:
        return replace(self, database=database)

    def same_database(self, other: RedisAddress) -> bool:
        mine = (self.hosts, self.path, self.master, self.database)
        return mine == (other.hosts, other.path, other.master, other.database)

    def __str__(self) -> str:
        query = dict(self.options)
        hosts = ",".join(values.join_host(host, port) for host, port in self.hosts)
        if self.scheme == "unix":
            query["db"] = str(self.database)
        path = {"unix": self.path, "sentinel": f"/{self.master}/{self.database}"}.get(self.scheme, f"/{self.database}")
        text = f"{self.scheme}://{self.user_part}{hosts}{path}"
        return f"{text}?{urlencode(query)}" if query else text


def parse_redis(text: str) -> RedisAddress:
    parts = _split(text, schemes=REDIS_SCHEMES, example="redis://127.0.0.1:6379/0")
    user_part, at, hosts = parts.netloc.rpartition("@")
    username, _, password = user_part.partition(":")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    _refuse_unverified(options)
    known: dict[str, Any] = {
        "scheme": parts.scheme,
        "username": unquote(username) or None,
        "password": unquote(password) or None,
        "user_part": user_part + at,
    }
    if parts.scheme == "unix":
        if hosts or len(parts.path) < 2:
            raise ValueError("a socket needs an absolute path: unix:///run/redis.sock?db=0")
        database = _database(options.pop("db", ""))
        return RedisAddress(path=unquote(parts.path), database=database, options=tuple(options.items()), **known)
    segments = [segment for segment in parts.path.split("/") if segment]
    if parts.scheme == "sentinel":
        if not segments:
            raise ValueError("sentinels need the name of their master: sentinel://host1,host2:26379/mymaster/0")
        known["master"] = unquote(segments.pop(0))
    if len(segments) > 1:
        raise ValueError("the path is the number of the database and nothing else, like /0")
    database = _database(segments[0] if segments else options.pop("db", ""))
    port = 26379 if parts.scheme == "sentinel" else 6379
    listed = hosts.split(",") if parts.scheme == "sentinel" else [hosts]
    servers = tuple((host, written or port) for host, written in map(_host, listed))
    return RedisAddress(hosts=servers, database=database, options=tuple(options.items()), **known)


def broker_beside(redis_url: str) -> str:
    """Celery's default broker: the same server, the next database (the one before it after the last)."""
    address = parse_redis(redis_url)
    database = address.database
    return str(address.at(database - 1 if database == _LAST_DATABASE else database + 1))


def mask(text: str) -> str:
    """Any text with addresses in it, without their user names and passwords."""
    return _CREDENTIALS.sub(r"\g<before>******@", text)


def is_loopback(url: str) -> bool:
    return bool(_LOOPBACK.fullmatch(urlsplit(url).hostname or ""))


def looks_like_sandbox(base_url: str, *, port: int) -> bool:
    """Whether a provider's address is this machine or a service named for the sandbox: nothing real answers there."""
    parts = urlsplit(base_url)
    name = (parts.hostname or "").split(".")[0]
    return is_loopback(base_url) or "sandbox" in name.split("-") or parts.port == port


def _split(text: str, *, schemes: tuple[str, ...], example: str) -> SplitResult:
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in schemes or "://" not in text or re.search(r"\s", text):
        listed = ", ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"not an address that can be used; write one of {listed}, like {example}")
    if parts.fragment:
        raise ValueError("an address here has no #; write the characters of a password percent-encoded")
    return parts


def _refuse_unverified(options: dict[str, str]) -> None:
    lax = options.get("ssl_cert_reqs", "required") != "required"
    if lax or options.get("ssl_check_hostname", "true").lower() in {"false", "no", "0", "n", "f"}:
        raise ValueError("rediss:// is always verified; remove ssl_cert_reqs and ssl_check_hostname, set ssl_ca_certs")


def _database(text: str) -> int:
    if not re.fullmatch(r"[0-9]{0,4}", text):
        raise ValueError("the database must be a number, like /0")
    return int(text or 0)


def _host(text: str) -> tuple[str, int | None]:
    try:
        return values.split_host(text)
    except ValueError:
        # Not quoted: a password with a bare "/" in it ends up where the host should be.
        raise ValueError("no valid host, or no valid port; percent-encode the special characters before it") from None


def _redis(text: str) -> str:
    parse_redis(text)
    return text


def _web(text: str) -> str:
    parts = _split(text, schemes=("http", "https"), example="https://retouch.example.com")
    if parts.query or parts.username or parts.password:
        raise ValueError("this address may have a path, but no user, no password and no query")
    host = values.join_host(*_host(parts.netloc.removesuffix(":")))
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _storage(text: str) -> str:
    parts = _split(text, schemes=STORAGE_SCHEMES, example="s3://bucket/prefix")
    if parts.query or parts.username or parts.password:
        raise ValueError("the storage's keys and endpoint come from its own variables (AWS_*, GOOGLE_*, AZURE_*)")
    if parts.scheme == "file" and (parts.netloc or len(parts.path) < 2):
        raise ValueError("a folder needs an absolute path: file:///var/lib/retouch/objects")
    if parts.scheme != "file" and not parts.netloc:
        raise ValueError(f"the name of the bucket is missing: {parts.scheme}://bucket/prefix")
    return text.rstrip("/")


RedisUrl = Annotated[str, BeforeValidator(_redis), HoldsPassword()]
WebUrl = Annotated[str, BeforeValidator(_web)]
StorageUrl = Annotated[str, BeforeValidator(_storage)]
