"""Fetches a result: only from listed hosts at every hop, without the API key, streamed, never more than the cap."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import cast

import httpx

from qubico.encodings import declared, decoded
from qubico.errors import ResultGone, ResultHostRefused, ResultTooLarge, Unavailable, transport_trouble
from qubico.transport import Wire, closed, request_to

MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_PORTS = {"https": 443, "http": 80}
_HEADERS = {"Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity"}
_NO_ADDRESS = "the address of the result, or one it redirects to, is not an address"
_MOST_HEADER_BYTES = 64 * 1024
_HTML = (b"<!doctype", b"<html", b"<head", b"<body")


@dataclass(frozen=True)
class Download:
    """A file being read. `chunks` can be read once, inside the `async with`."""

    content_type: str | None
    length: int | None
    chunks: AsyncIterator[bytes]


class ResultHosts:
    """The allow-list. `host` stands for https on port 443; `host:port` for that very port, with or without TLS.

    So plain http works only where the port is listed (the sandbox, a local mirror).
    """

    def __init__(self, entries: Collection[str]) -> None:
        self._listed = {_host_and_port(entry) for entry in entries}

    def check(self, address: httpx.URL) -> None:
        port = address.port or _PORTS.get(address.scheme)
        by_name = (address.host, None) in self._listed and address.scheme == "https" and port == _PORTS["https"]
        by_port = (address.host, port) in self._listed and address.scheme in _PORTS
        if not (by_name or by_port) or address.userinfo:
            raise ResultHostRefused(
                f"results are not fetched from {address.scheme or 'no scheme'}://{address.host[:200]}:{port}; "
                "if it is right, add it to the result hosts"
            )


def _host_and_port(entry: str) -> tuple[str, int | None]:
    try:
        read = httpx.URL(f"//{entry}")
    except httpx.InvalidURL:
        read = httpx.URL("")
    if not read.host or read.userinfo or read.raw_path not in {b"", b"/"} or (read.port or 1) > 65_535:
        raise ValueError(f"result_hosts: {entry!r} must be a host or host:port, without https:// or a path")
    return read.host, read.port


@asynccontextmanager
async def opened(
    wire: Wire, address: str, *, hosts: ResultHosts, max_bytes: int, within: float
) -> AsyncGenerator[Download]:
    """The file at `address`, which must be read whole within `within` seconds.

    Raises ResultGone, ResultHostRefused, ResultTooLarge or Unavailable.
    """
    deadline = asyncio.get_running_loop().time() + within
    response = await _followed(wire, address, hosts=hosts, deadline=deadline, within=within)
    try:
        length = _length(response)
        _check_head(response, length=length, max_bytes=max_bytes)
        async with aclosing(_chunks(response, length=length, max_bytes=max_bytes, deadline=deadline)) as chunks:
            first = await anext(chunks, b"")
            _check_start(first)
            async with aclosing(_with_first(first, chunks)) as whole:
                yield Download(content_type=response.headers.get("content-type"), length=length, chunks=whole)
    finally:
        await closed(response)


async def _followed(wire: Wire, address: str, *, hosts: ResultHosts, deadline: float, within: float) -> httpx.Response:
    target = _parsed(address)
    for _ in range(1 + MOST_REDIRECTS):
        hosts.check(target)
        with transport_trouble(Unavailable):
            async with asyncio.timeout_at(deadline):
                response = await wire.send(request_to(target, headers=wire.headers(target, _HEADERS), within=within))
        if response.status_code not in _REDIRECTS or "location" not in response.headers:
            return response
        await closed(response)
        target = _parsed(response.headers["location"], base=target)
    raise ResultHostRefused(f"more than {MOST_REDIRECTS} redirects, the last to {target.host[:200]}")


def _parsed(address: str, *, base: httpx.URL | None = None) -> httpx.URL:
    try:
        return base.join(address) if base else httpx.URL(address.strip())
    except (httpx.InvalidURL, ValueError):
        raise ResultHostRefused(_NO_ADDRESS) from None


def _length(response: httpx.Response) -> int | None:
    value = response.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() and not _encodings(response) else None


def _encodings(response: httpx.Response) -> list[str]:
    with transport_trouble(Unavailable):
        return declared(response.headers.get("content-encoding", ""))


def _check_head(response: httpx.Response, *, length: int | None, max_bytes: int) -> None:
    if sum(len(name) + len(value) + 4 for name, value in response.headers.raw) > _MOST_HEADER_BYTES:
        raise Unavailable(f"the file host answered with more than {_MOST_HEADER_BYTES // 1024} KiB of headers")
    status, kind = response.status_code, response.headers.get("content-type", "").casefold()
    if status == 204 or (400 <= status < 500 and status not in _PASSING):
        raise ResultGone(f"the file host answered {status}")
    if status != 200:
        raise Unavailable(f"the file host answered {status}")
    if kind.startswith(("text/html", "application/xhtml")):
        raise ResultGone("the file host answered with a page of HTML")
    if length is not None and length > max_bytes:
        raise ResultTooLarge(f"the file has {length} bytes, {max_bytes} are allowed")


def _check_start(first: bytes) -> None:
    if not first:
        raise ResultGone("the file is empty")
    if first.lstrip()[:9].lower().startswith(_HTML):
        raise ResultGone("the file is a page of HTML")


async def _chunks(
    response: httpx.Response, *, length: int | None, max_bytes: int, deadline: float
) -> AsyncGenerator[bytes]:
    read, source = 0, cast("AsyncGenerator[bytes]", response.aiter_raw())  # typed as an iterator only
    if encodings := _encodings(response):
        source = decoded(_capped(source, max_bytes), encodings)
    async with aclosing(source):
        while True:
            with transport_trouble(Unavailable):
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(source, b"")
            if not chunk:
                break
            read += len(chunk)
            if read > max_bytes:
                raise ResultTooLarge(f"the file has more than the {max_bytes} bytes that are allowed")
            yield chunk
    if length is not None and read != length:
        raise Unavailable(f"the file broke off after {read} of {length} bytes")


async def _capped(chunks: AsyncGenerator[bytes], max_bytes: int) -> AsyncGenerator[bytes]:
    read = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            read += len(chunk)
            if read > max_bytes:
                raise ResultTooLarge(f"the file has more than the {max_bytes} bytes that are allowed")
            yield chunk


async def _with_first(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
