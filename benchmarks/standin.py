"""The provider's stand-in for measuring: a bare uvloop protocol that speaks its wire format and costs next to nothing.

`python -m benchmarks.standin PORT '{"shape": "30 ± 3 s"}'` serves until it is ended; `GET /counters` tells what it saw.
"""

import argparse
import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.answers import Counters, StandIn
from benchmarks.provider import Provider

REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests"}
LOOK_EVERY: Final = 0.02  # seconds between looks whether it stood still itself


class Connection(asyncio.Protocol):
    """As much of HTTP/1.1 as clients of the provider use: a head, and a body of a told length."""

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end]
            length = _told_length(head)
            if len(self._unread) < end + 4 + length:
                return
            body, self._unread = self._unread[end + 4 : end + 4 + length], self._unread[end + 4 + length :]
            method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
            self._serve(method, path, body)

    def _serve(self, method: str, path: str, body: bytes) -> None:
        status, content = self._standin.answer(method, path, body)
        delay = self._standin.provider.create_delay if method == "POST" and path == "/api/v1/task" else 0
        if delay:
            asyncio.get_running_loop().call_later(delay, self._write, path, status, content)
        else:
            self._write(path, status, content)

    def _write(self, path: str, status: int, content: bytes) -> None:
        kind = "image/png" if path.startswith("/temp/") else "application/json"
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
        self._transport.writelines([head.encode(), content])


def _told_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    return int(lower[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def serve(port: int, provider: Provider) -> None:
    standin = StandIn(provider, base=f"http://127.0.0.1:{port}")
    standin.answer("GET", "/temp/made-before-it-is-asked-for.png", b"")
    standin.counters = Counters()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(standin), "127.0.0.1", port, backlog=4096
    )
    async with server, asyncio.TaskGroup() as group:
        group.create_task(_watch_itself(standin))
        await server.serve_forever()


async def _watch_itself(standin: StandIn) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(LOOK_EVERY)
        standin.stalled(loop.time() - began - LOOK_EVERY)


def main() -> None:
    asked = argparse.ArgumentParser(prog=f"python -m benchmarks.{Path(__file__).stem}")
    asked.add_argument("port", type=int)
    asked.add_argument("provider", type=json.loads)
    given = asked.parse_args()
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(given.port, Provider(**given.provider)))


if __name__ == "__main__":
    main()
