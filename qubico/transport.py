"""httpx over aiohttp for the provider: a gate can stop a create until its first byte; a canceled call sends no more.

Requests go to the transport directly: httpx's client would merge headers, cookies, auth and redirects, which are not
used here, at the CPU cost of all the rest (docs/performance.md).
"""

import logging
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cached_property, lru_cache
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from httpx_aiohttp.transport import AiohttpResponseStream, map_aiohttp_exceptions
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from qubico.errors import TROUBLE, NotSent

# Shorter than any keep-alive met (uvicorn 5 s, nginx 75 s, Cloudflare 400 s): a POST written just as the server closes
# an idle connection is a lost answer, and a lost answer costs a minute of looking for the task.
_KEEPALIVE_SECONDS = 4
_DNS_SECONDS = 30
_DROP_UNSENT = struct.pack("ii", 1, 0)  # SO_LINGER: closing drops unsent bytes

_CHUNK_BYTES = 256 * 1024  # read at once, of files too: each chunk passes through half a dozen generators
_LONGEST_CONNECT = 5.0

# Far over what servers send; aiohttp's defaults, 8 kB and 128 headers, refuse answers that browsers accept.
_MOST_HEADERS = 2048
_LONGEST_HEADER = 128 * 1024
_TOO_LONG = re.compile("Too many headers|Got more than|Receive buffer too long")  # as aiohttp and h11 say it

USER_AGENT = "retouch/0.1"  # the front of the provider answers 403 "error code: 1010" to Python's default one
_NOTHING = httpx.ByteStream(b"")

_Gate = tuple[Callable[[], bool], Callable[[], Awaitable[None]]]
_gate: ContextVar[_Gate | None] = ContextVar("gate", default=None)

# httpx logs the address of every request, and addresses of pictures must not be logged.
logging.getLogger("httpx").setLevel(logging.WARNING)


class HeadTooLong(httpx.RemoteProtocolError):
    """An answer's headers are over the limits."""


def headers_for(address: httpx.URL, given: Mapping[str, str]) -> httpx.Headers:
    """For all requests to this address's host."""
    return httpx.Headers({"Host": address.netloc.decode("ascii"), "User-Agent": USER_AGENT, **given})


def request_to(
    address: httpx.URL, *, headers: httpx.Headers, within: float, body: bytes | None = None
) -> httpx.Request:
    """A POST if there is a body, else a GET, which may be sent again. `within`: seconds for the whole call."""
    extensions = {"timeout": _timeout(within)}
    if body is None:  # a ready stream saves httpx from building one
        return httpx.Request("GET", address, headers=headers, stream=_NOTHING, extensions=extensions)
    return httpx.Request("POST", address, headers=headers, content=body, extensions=extensions)


class Whole(httpx.AsyncByteStream):
    """A body that came together with its head."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content


@lru_cache(maxsize=64)
def _timeout(seconds: float) -> Mapping[str, float]:
    """In aiohttp `pool` covers waiting and connecting. It is shorter than the whole, so that the two errors differ.

    The caller's own clock bounds the whole call.
    """
    connecting = min(_LONGEST_CONNECT, seconds / 2)
    return {"connect": connecting, "pool": connecting}


class OverAiohttp(httpx.AsyncBaseTransport):
    """Like `httpx_aiohttp`, with its errors, and without its most expensive steps.

    Opens its connections at the first request, inside the running loop. The limit is per host, so that slow files never
    hold up creates. aiohttp repeats a GET once when a kept-alive connection turns out to be closed, and never a POST.
    Sends requests unchanged: follows no redirect, keeps no cookies, reads no environment.
    """

    def __init__(self, *, max_connections: int, resolver: AbstractResolver | None = None) -> None:
        self._max_connections = max_connections
        self._resolver = resolver
        self._ssl = httpx.create_ssl_context()
        limits = httpx.Limits(max_keepalive_connections=0)
        self._tolerant = httpx.AsyncHTTPTransport(verify=self._ssl, trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Repeats a GET that aiohttp's parser refused with h11, which accepts the same `Content-Length` twice."""
        body = await request.aread()
        try:
            with map_aiohttp_exceptions():
                return await self._answer(request, body)
        except aiohttp.ClientResponseError as exc:
            if body:
                raise
            _check_length(exc)
        try:
            return await self._tolerant.handle_async_request(request)
        except httpx.RemoteProtocolError as exc:
            _check_length(exc)
            raise

    async def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response:
        answer = await self._sessions[bool(body)].request(
            request.method, data=body or None, allow_redirects=False, **_prepared(request)
        )
        stream: httpx.AsyncByteStream
        if _is_short(answer):
            stream = Whole(await answer.read())
        else:
            stream = AiohttpResponseStream(answer)
            stream.CHUNK_SIZE = _CHUNK_BYTES
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=stream, request=request)

    async def aclose(self) -> None:
        for session in vars(self).get("_sessions", ()):
            await session.close()
        await self._tolerant.aclose()

    @cached_property
    def _sessions(self) -> list[aiohttp.ClientSession]:
        """Two that share their connections. Only the second, for a request with a body, is gated: a trace costs CPU."""
        connector = aiohttp.TCPConnector(
            ssl=self._ssl,
            resolver=self._resolver,
            limit=0,
            limit_per_host=self._max_connections,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            ttl_dns_cache=_DNS_SECONDS,
            socket_factory=_socket,
        )
        trace = aiohttp.TraceConfig()
        # Called, despite its name, before the first chunk and the headers are written. The signal for headers comes
        # too early: a task of its own then writes the body, and other tasks run before it.
        trace.on_request_chunk_sent.append(_check_gate)
        return [
            aiohttp.ClientSession(
                connector=connector,
                connector_owner=not traces,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=_CHUNK_BYTES,
                max_line_size=_LONGEST_HEADER,
                max_field_size=_LONGEST_HEADER,
                max_headers=_MOST_HEADERS,
                response_class=_Response,
                trace_configs=traces,
            )
            for traces in ([], [trace])
        ]


def _is_short(answer: aiohttp.ClientResponse) -> bool:
    length = answer.content_length
    return length is not None and length < _CHUNK_BYTES and "Content-Encoding" not in answer.headers


def _prepared(request: httpx.Request) -> dict[str, Any]:
    """The request in aiohttp's terms. It stays with the request, because one for a task is sent some six times."""
    prepared: dict[str, Any] | None = request.extensions.get("aiohttp")
    if prepared is None:
        limits = request.extensions.get("timeout", {})
        prepared = request.extensions["aiohttp"] = {
            "url": URL(str(request.url), encoded=True),
            "headers": _headers(tuple(request.headers.raw)),
            "timeout": aiohttp.ClientTimeout(
                connect=limits.get("pool"), sock_connect=limits.get("connect"), sock_read=limits.get("read")
            ),
        }
    return prepared


@lru_cache(maxsize=64)
def _headers(raw: tuple[tuple[bytes, bytes], ...]) -> "CIMultiDictProxy[str]":
    named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]
    return CIMultiDictProxy(CIMultiDict(named))


def _check_length(exc: Exception) -> None:
    if _TOO_LONG.search(str(exc)):
        raise HeadTooLong(f"more than {_MOST_HEADERS} headers, or one of more than {_LONGEST_HEADER} bytes") from None


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_UNSENT)
    return made


class _Response(aiohttp.ClientResponse):
    """Canceled early, it aborts the connection: a graceful close could send the rest minutes later.

    By then the create would have been proved absent.
    """

    def close(self) -> None:
        transport = self.connection.transport if self.connection else None
        if transport is not None:
            transport.abort()
        super().close()


@contextmanager
def gated(may_send: Callable[[], bool], connected: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Requests inside are sent only while `may_send` returns true: checked now and right before the first byte.

    Once connected, `connected` is awaited before the second check. Raises NotSent.
    """
    if not may_send():
        raise NotSent("the send window ended before a connection was requested")
    token = _gate.set((may_send, connected))
    try:
        yield
    finally:
        _gate.reset(token)


async def closed(response: httpx.Response) -> None:
    """Gives the connection back; errors in that do not matter."""
    with suppress(*TROUBLE):
        await response.aclose()


async def _check_gate(_session: aiohttp.ClientSession, request: SimpleNamespace, _params: object) -> None:
    """Checks before the first chunk only: after it, bytes have been sent."""
    gate, first = _gate.get(), not vars(request).get("begun")
    request.begun = True
    if first and gate is not None:
        may_send, connected = gate
        await connected()
        if not may_send():
            raise NotSent("the send window ended before the connection was open")
