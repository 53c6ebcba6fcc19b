"""httpx over aiohttp for the provider: a gate holds a create back to its first byte, and given up it sends no more.

Requests go to the transport directly. httpx's client merges headers, cookies, auth and redirects for each, none of
which is used here, and that costs as much CPU as all the rest (docs/performance.md).
"""

import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import SimpleNamespace

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

from qubico.errors import TROUBLE, NotSent

# Shorter than any keep-alive met (uvicorn 5 s, nginx 75 s, Cloudflare 400 s): a POST written just as the server closes
# an idle connection is a lost answer, and a lost answer costs a minute of looking for the task.
_KEEPALIVE_SECONDS = 4
_DNS_SECONDS = 30
_DROP_UNSENT = struct.pack("ii", 1, 0)  # SO_LINGER: closing ends the connection with what it has not sent yet

_CHUNK_BYTES = 64 * 1024  # of an answer at most, read at once: each chunk passes through half a dozen hands
_LONGEST_CONNECT = 5.0

_Gate = tuple[Callable[[], bool], Callable[[], Awaitable[None]]]
_gate: ContextVar[_Gate | None] = ContextVar("gate", default=None)

# httpx logs every address it asks, and addresses of pictures are nobody's business.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Wire:
    """Sends requests that are whole as they are given: follows nothing, keeps no cookies, reads no environment."""

    def __init__(self, transport: httpx.AsyncBaseTransport, *, user_agent: str) -> None:
        self._transport = transport
        self._user_agent = user_agent
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True
        await self._transport.aclose()

    async def send(
        self, method: str, address: httpx.URL, *, headers: Mapping[str, str], within: float, body: bytes | None = None
    ) -> httpx.Response:
        """The answer's head; whoever gets it closes it. `within`: seconds, for each part of the call."""
        request = httpx.Request(
            method,
            address,
            headers={"User-Agent": self._user_agent, **headers},
            content=body,
            extensions={"timeout": _timeout(within)},
        )
        return await self._transport.handle_async_request(request)


def _timeout(seconds: float) -> dict[str, float]:
    """Under aiohttp `pool` is waiting and connecting together; that ends before the whole does, to be told apart."""
    connecting = min(_LONGEST_CONNECT, seconds / 2)
    return {"connect": connecting, "read": seconds, "write": seconds, "pool": connecting}


def over_aiohttp(*, max_connections: int, resolver: AbstractResolver | None = None) -> httpx.AsyncBaseTransport:
    """A transport that opens its session at the first request, inside the running loop.

    The limit is per host, so that slow files never hold up creates. aiohttp repeats a GET once when a kept-alive
    connection turns out to be closed, and never a POST.
    """
    context = httpx.create_ssl_context()

    def session() -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        # Called, against its name, before the chunk is written, and with it the headers, which wait for it. The signal
        # of the headers comes earlier: there the body is left to a task of its own, and others run before it.
        trace.on_request_chunk_sent.append(_ask_again)
        connector = aiohttp.TCPConnector(
            ssl=context,
            resolver=resolver,
            limit=0,
            limit_per_host=max_connections,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            ttl_dns_cache=_DNS_SECONDS,
            socket_factory=_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            response_class=_Response,
        )

    return _InLargeChunks(verify=context, client=session)


class _InLargeChunks(AiohttpTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if isinstance(response.stream, AiohttpResponseStream):
            response.stream.CHUNK_SIZE = _CHUNK_BYTES
        return response


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_UNSENT)
    return made


class _Response(aiohttp.ClientResponse):
    """Given up before its end, it cuts the connection: closed politely that would send what is left, minutes later.

    So long a network may stand still, and a create that it brings then was taken for absent before.
    """

    def close(self) -> None:
        transport = self.connection.transport if self.connection else None
        if transport is not None:
            transport.abort()
        super().close()


@contextmanager
def gated(may_send: Callable[[], bool], connected: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Requests inside leave only while `may_send` says so: asked now, and again right before the first byte.

    With the connection in hand `connected` is waited for first.
    """
    if not may_send():
        raise NotSent("the time to send had passed before a connection was asked for")
    token = _gate.set((may_send, connected))
    try:
        yield
    finally:
        _gate.reset(token)


async def closed(response: httpx.Response) -> None:
    """Give the connection back; there is nothing more to learn from one that fails at that."""
    with suppress(*TROUBLE):
        await response.aclose()


async def _ask_again(_session: aiohttp.ClientSession, request: SimpleNamespace, _params: object) -> None:
    """Before the first chunk alone: after it, something has left."""
    gate, first = _gate.get(), not vars(request).get("begun")
    request.begun = True
    if first and gate is not None:
        may_send, connected = gate
        await connected()
        if not may_send():
            raise NotSent("the time to send had passed when the connection was there")
