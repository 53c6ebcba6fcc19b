"""Readiness probes of services, limited in time; no answer means not ready."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

ANSWER_WITHIN = 2.0  # seconds
Probe = Callable[[], Awaitable[bool]]


def http(port: int, path: str, *, host: str = "127.0.0.1") -> Probe:
    """Ready when a GET is answered with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    return lambda: _answers(host, port, request, " 200 ")


def ping(port: int) -> Probe:
    """Ready when Redis or Valkey answers PONG, that is, has loaded its data."""
    return lambda: _answers("127.0.0.1", port, "PING\r\n", "+PONG")


async def _answers(host: str, port: int, request: str, expected: str) -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_WITHIN):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request.encode())
                return expected in (await reader.readline()).decode(errors="replace")
            finally:
                writer.close()
    return False
