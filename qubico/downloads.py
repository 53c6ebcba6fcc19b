"""Fetches a result: only from listed hosts at every hop, without the API key, streamed, never more than the cap."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, asynccontextmanager
from typing import cast

import httpx

from qubico.encodings import Unpacker
from qubico.errors import ResultGone, ResultHostRefused, ResultTooLarge, Unavailable, transport_trouble
from qubico.transport import HeadTooLong, closed, headers_for, request_to

MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_PORTS = {"https": 443, "http": 80}
_HEADERS = {"Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity"}
_HTML = (b"<!doctype", b"<html", b"<head", b"<body")


class ResultHosts:
    """The allow-list. `host` stands for https on port 443; `host:port` for that very port, with or without TLS.

    So plain http works only where the port is listed (the sandbox, a local mirror).
    """

    def __init__(self, entries: Collection[str]) -> None:
        listed = (httpx.URL(f"//{entry}") for entry in entries)
        self._listed = {(url.host, url.port) for url in listed}

    def check(self, address: httpx.URL) -> None:
        port = address.port or _PORTS.get(address.scheme)
        by_name = (address.host, None) in self._listed and address.scheme == "https" and port == _PORTS["https"]
        by_port = (address.host, port) in self._listed and address.scheme in _PORTS
        if not (by_name or by_port) or address.userinfo:
            raise ResultHostRefused(
                f"results are not fetched from {address.scheme or 'no scheme'}://{address.host[:200]}:{port}; "
                "if it is right, add it to the result hosts"
            )


@asynccontextmanager
async def opened(
    transport: httpx.AsyncBaseTransport, address: str, *, hosts: ResultHosts, max_bytes: int, within: float
) -> AsyncGenerator[AsyncGenerator[bytes]]:
    """The chunks of the file at `address`, to be read once and within `within` seconds.

    Raises ResultGone, ResultHostRefused, ResultTooLarge or Unavailable; so does reading.
    """
    deadline = asyncio.get_running_loop().time() + within
    response = await _followed(transport, address, hosts=hosts, deadline=deadline, within=within)
    try:
        length = _length(response)
        _check_head(response, length=length, max_bytes=max_bytes)
        async with aclosing(_chunks(response, length=length, max_bytes=max_bytes, deadline=deadline)) as chunks:
            yield chunks
    finally:
        await closed(response)


async def _followed(
    transport: httpx.AsyncBaseTransport, address: str, *, hosts: ResultHosts, deadline: float, within: float
) -> httpx.Response:
    target = _parsed(address)
    for _ in range(1 + MOST_REDIRECTS):
        hosts.check(target)
        request = request_to(target, headers=headers_for(target, _HEADERS), within=within)
        with transport_trouble(Unavailable):
            try:
                async with asyncio.timeout_at(deadline):
                    response = await transport.handle_async_request(request)
            except HeadTooLong:
                raise ResultTooLarge("the file host answered with too many or too long headers") from None
        if response.status_code not in _REDIRECTS or "location" not in response.headers:
            return response
        await closed(response)
        target = _parsed(response.headers["location"], base=target)
    raise ResultHostRefused(f"more than {MOST_REDIRECTS} redirects, the last to {target.host[:200]}")


def _parsed(address: str, *, base: httpx.URL | None = None) -> httpx.URL:
    try:
        return base.join(address) if base else httpx.URL(address.strip())
    except (httpx.InvalidURL, ValueError):
        raise ResultHostRefused("the address of the result, or one it redirects to, is not an address") from None


def _length(response: httpx.Response) -> int | None:
    value = response.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() else None


def _check_head(response: httpx.Response, *, length: int | None, max_bytes: int) -> None:
    status, kind = response.status_code, response.headers.get("content-type", "").casefold()
    if status == 204 or (400 <= status < 500 and status not in _PASSING):
        raise ResultGone(f"the file host answered {status}")
    if status != 200:
        raise Unavailable(f"the file host answered {status}")
    if kind.startswith(("text/html", "application/xhtml")):
        raise ResultGone("the file host answered with a page of HTML")
    if length is not None and length > max_bytes:
        raise ResultTooLarge(f"the file has {length} bytes, {max_bytes} are allowed")


async def _chunks(
    response: httpx.Response, *, length: int | None, max_bytes: int, deadline: float
) -> AsyncGenerator[bytes]:
    """Unpacked pieces; the first one is checked."""
    source = cast("AsyncGenerator[bytes]", response.aiter_raw())  # typed as an iterator only
    with transport_trouble(Unavailable):
        unpacker = Unpacker(response.headers.get("content-encoding", ""), max_bytes=max_bytes)
        async with aclosing(source):
            while chunk := await _next(source, deadline=deadline):
                for piece in unpacker.feed(chunk):
                    if unpacker.unpacked == len(piece) and piece.lstrip()[:9].lower().startswith(_HTML):
                        raise ResultGone("the file is a page of HTML")
                    yield piece
        unpacker.finish()
    if length is not None and unpacker.received != length:
        raise Unavailable(f"the file broke off after {unpacker.received} of {length} bytes")
    if not unpacker.unpacked:
        raise ResultGone("the file is empty")


async def _next(source: AsyncGenerator[bytes], *, deadline: float) -> bytes:
    async with asyncio.timeout_at(deadline):
        return await anext(source, b"")
