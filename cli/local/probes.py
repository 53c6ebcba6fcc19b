"""When a part counts as ready: each probe is one bounded question, and no answer is a no."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

ANSWER_WITHIN = 2.0  # seconds
Probe = Callable[[], Awaitable[bool]]


def http(port: int, path: str, *, host: str = "127.0.0.1") -> Probe:
    """Ready when a GET is answered with 200."""
    question = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    return lambda: _answers(host, port, question, " 200 ")


def ping(port: int) -> Probe:
    """Ready when Redis or Valkey says PONG, not while it still loads its file."""
    return lambda: _answers("127.0.0.1", port, "PING\r\n", "+PONG")


async def _answers(host: str, port: int, question: str, expected: str) -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_WITHIN):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(question.encode())
                return expected in (await reader.readline()).decode(errors="replace")
            finally:
                writer.close()
    return False
