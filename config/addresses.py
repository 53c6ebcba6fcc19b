"""Types of settings that hold a URL: the schemes of each, and masking of user names and passwords."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from pydantic import BeforeValidator

from config import values

_CREDENTIALS = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://)[^/\s]*@", re.IGNORECASE)
_LOOPBACK = re.compile(r"localhost|127(?:\.\d+){3}|::1")
# Redis has 16 databases by default.
_LAST_DATABASE = 15


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis or Valkey server: by host, by socket, or by its sentinels."""

    scheme: str
    user_part: str  # user, password and "@" as written; "" without
    hosts: tuple[tuple[str, int], ...]
    path: str  # of the socket
    master: str
    database: int
    options: tuple[tuple[str, str], ...]

    @property
    def credentials(self) -> tuple[str | None, str | None]:
        """User name and password."""
        username, _, password = self.user_part.removesuffix("@").partition(":")
        return unquote(username) or None, unquote(password) or None

    def __str__(self) -> str:
        query = dict(self.options)
        hosts = ",".join(values.join_host(host, port) for host, port in self.hosts)
        if self.scheme == "unix":
            query["db"] = str(self.database)
        path = {"unix": self.path, "sentinel": f"/{self.master}/{self.database}"}.get(self.scheme, f"/{self.database}")
        text = f"{self.scheme}://{self.user_part}{hosts}{path}"
        return f"{text}?{urlencode(query)}" if query else text


def parse_redis(text: str) -> RedisAddress:
    """Raises ValueError with what to write instead."""
    parts = _split(text, schemes=("redis", "rediss", "unix", "sentinel"), example="redis://127.0.0.1:6379/0")
    user_part, at, hosts = parts.netloc.rpartition("@")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    _refuse_unverified(options)
    is_socket, is_sentinel = parts.scheme == "unix", parts.scheme == "sentinel"
    if is_socket and (hosts or len(parts.path) < 2):
        raise ValueError("a socket needs an absolute path: unix:///run/redis.sock?db=0")
    segments = [] if is_socket else [segment for segment in parts.path.split("/") if segment]
    if is_sentinel and not segments:
        raise ValueError("sentinels need the name of their master: sentinel://host1,host2:26379/mymaster/0")
    master = unquote(segments.pop(0)) if is_sentinel else ""
    if len(segments) > 1:
        raise ValueError("the path must be the number of the database and nothing else, like /0")
    database = segments[0] if segments else options.pop("db", "")
    if not re.fullmatch(r"[0-9]{0,4}", database):
        raise ValueError("the database must be a number, like /0")
    servers = hosts.split(",") if is_sentinel else [] if is_socket else [hosts]
    return RedisAddress(
        scheme=parts.scheme,
        user_part=user_part + at,
        hosts=tuple((host, port or (26379 if is_sentinel else 6379)) for host, port in map(_host, servers)),
        path=unquote(parts.path) if is_socket else "",
        master=master,
        database=int(database or 0),
        options=tuple(options.items()),
    )


def same_database(one: str, other: str) -> bool:
    a, b = parse_redis(one), parse_redis(other)
    return (a.hosts, a.path, a.master, a.database) == (b.hosts, b.path, b.master, b.database)


def broker_beside(redis_url: str) -> str:
    """Default address of Celery's broker: the same server and the next database, or the one before the last one."""
    address = parse_redis(redis_url)
    step = -1 if address.database == _LAST_DATABASE else 1
    return str(replace(address, database=address.database + step))


def mask(text: str) -> str:
    """Masks user names and passwords in all addresses of the text."""
    return _CREDENTIALS.sub(r"\g<before>******@", text)


def is_loopback(url: str) -> bool:
    return bool(_LOOPBACK.fullmatch(urlsplit(url).hostname or ""))


def looks_like_sandbox(base_url: str, *, port: int) -> bool:
    """Whether a provider's address is on this machine, is named for the sandbox or has the sandbox's port."""
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
        raise ValueError(f"not a valid address; write one of {listed}, like {example}")
    if parts.fragment:
        raise ValueError("an address has no #; write special characters of a password percent-encoded")
    return parts


def _refuse_unverified(options: dict[str, str]) -> None:
    lax = options.get("ssl_cert_reqs", "required") != "required"
    if lax or options.get("ssl_check_hostname", "true").lower() in {"false", "no", "0", "n", "f"}:
        raise ValueError("rediss:// is always verified; remove ssl_cert_reqs and ssl_check_hostname, set ssl_ca_certs")


def _host(text: str) -> tuple[str, int | None]:
    try:
        return values.split_host(text)
    except ValueError:
        # The error does not show the host: a password with an unencoded "/" is parsed as one.
        raise ValueError("no valid host or no valid port; percent-encode special characters before it") from None


def _web(text: str) -> str:
    parts = _split(text, schemes=("http", "https"), example="https://retouch.example.com")
    if parts.query or parts.username or parts.password:
        raise ValueError("this address may have a path, but no user, no password and no query")
    host = values.join_host(*_host(parts.netloc.removesuffix(":")))
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _storage(text: str) -> str:
    parts = _split(text, schemes=("file", "s3", "gs", "az"), example="s3://bucket/prefix")
    if parts.query or parts.username or parts.password:
        raise ValueError("the storage's keys and endpoint come from its own variables (AWS_*, GOOGLE_*, AZURE_*)")
    if parts.scheme == "file" and (parts.netloc or len(parts.path) < 2):
        raise ValueError("a folder needs an absolute path: file:///var/lib/retouch/objects")
    if parts.scheme != "file" and not parts.netloc:
        raise ValueError(f"the name of the bucket is missing: {parts.scheme}://bucket/prefix")
    return text.rstrip("/")


RedisUrl = Annotated[str, BeforeValidator(lambda text: parse_redis(text) and text)]
WebUrl = Annotated[str, BeforeValidator(_web)]
StorageUrl = Annotated[str, BeforeValidator(_storage)]
