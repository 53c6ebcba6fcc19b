"""Sends one request after another over some kept connections, as cheaply as asyncio can, and counts what comes back."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import uvloop

_LENGTH: Final = b"content-length: "
_END: Final = b"\r\n\r\n"

PATIENCE: Final = 10.0  # seconds for the last answers

Next = Callable[[], bytes]
"""The next request, whole."""


@dataclass(slots=True)
class Seen:
    """What came back. `took`: seconds from a request to the last byte of its answer."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)

    @property
    def answers(self) -> int:
        return self.statuses.total()


def request(method: str, path: str, *, host: str, key: str, body: bytes = b"") -> bytes:
    """One request on the wire, with the key and a JSON body."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def answer_in(data: bytes) -> tuple[int, bytes] | None:
    """Status and body of the answer at the start of `data`; None while it is not whole."""
    head, end, body = data.partition(_END)
    at = head.lower().find(_LENGTH)
    if not end or at < 0:
        return None
    if len(body) < int(head[at + len(_LENGTH) :].partition(b"\r")[0]):
        return None
    return int(head[9:12]), body


class _Client(asyncio.Protocol):
    """One connection: a request leaves when the answer to the one before has come."""

    def __init__(self, give: Next, seen: Seen, until: float, done: "asyncio.Future[None]") -> None:
        self._give, self._seen, self._until, self._done = give, seen, until, done
        self._data = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as a TCP server's
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._data += data
        found = answer_in(self._data)
        if found is None:
            return
        now = time.perf_counter()
        self._data = b""
        self._seen.statuses[found[0]] += 1
        self._seen.took.append(now - self._sent)
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._give())


async def _load(port: int, give: Next, connections: int, seconds: float) -> Seen:
    loop = asyncio.get_running_loop()
    seen, began = Seen(), time.perf_counter()
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    for done in ends:
        await loop.create_connection(partial(_Client, give, seen, began + seconds, done), "127.0.0.1", port)
    await asyncio.wait(ends, timeout=seconds + PATIENCE)
    seen.seconds = time.perf_counter() - began
    return seen


def load(port: int, give: Next, *, connections: int, seconds: float) -> Seen:
    """Keeps `connections` busy for so long."""
    return uvloop.run(_load(port, give, connections, seconds))
