"""httpx over aiohttp for the provider: a gate holds a create back to its first byte, and given up it sends no more."""

import logging
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import SimpleNamespace

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from httpx_aiohttp import AiohttpTransport

from qubico.errors import TROUBLE, NotSent

# Shorter than any keep-alive met (uvicorn 5 s, nginx 75 s, Cloudflare 400 s): a POST written just as the server closes
# an idle connection is a lost answer, and a lost answer costs a minute of looking for the task.
_KEEPALIVE_SECONDS = 4
_DNS_SECONDS = 30
_DROP_UNSENT = struct.pack("ii", 1, 0)  # SO_LINGER: closing ends the connection with what it has not sent yet

_gate: ContextVar[Callable[[], bool] | None] = ContextVar("gate", default=None)

# httpx logs every address it asks, and addresses of pictures are nobody's business.
logging.getLogger("httpx").setLevel(logging.WARNING)


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

    return AiohttpTransport(verify=context, client=session)


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
def gated(may_send: Callable[[], bool]) -> Iterator[None]:
    """Requests inside leave only while `may_send` says so: asked now, and again right before the first byte."""
    if not may_send():
        raise NotSent("the time to send had passed before a connection was asked for")
    token = _gate.set(may_send)
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
    may_send, first = _gate.get(), not vars(request).get("begun")
    request.begun = True
    if first and may_send is not None and not may_send():
        raise NotSent("the time to send had passed when the connection was there")
