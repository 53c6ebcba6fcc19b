"""Passes TCP on to another address, and holds what is asked back for a while: a Redis that is far away.

`python -m benchmarks.forward 127.0.0.1:7000 127.0.0.1:6379 2` delays what clients send by 2 ms; answers pass at once.
"""

import argparse
import asyncio
import contextlib
from typing import Any

import uvloop


class _Upstream(asyncio.Protocol):
    def __init__(self, client: "_Client") -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.transport.close()


class _Client(asyncio.Protocol):
    """Every piece waits equally long, so their order stays; those that came before the way was open go first."""

    transport: Any

    def __init__(self, target: tuple[str, int], delay: float) -> None:
        self._target, self._delay = target, delay
        self._upstream: Any = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._opening = asyncio.get_running_loop().create_task(self._open())

    def data_received(self, data: bytes) -> None:
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._pass, data)
        else:
            self._pass(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._opening.cancel()
        if self._upstream is not None:
            self._upstream.close()

    async def _open(self) -> None:
        try:
            self._upstream, _ = await asyncio.get_running_loop().create_connection(
                lambda: _Upstream(self), *self._target
            )
        except OSError:
            self.transport.close()
            return
        for data in self._early:
            self._upstream.write(data)

    def _pass(self, data: bytes) -> None:
        if self._upstream is None:
            self._early.append(data)
        else:
            self._upstream.write(data)


async def serve(listen: tuple[str, int], target: tuple[str, int], delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Client(target, delay), *listen)
    async with server:
        await server.serve_forever()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.forward", description=__doc__)
    asked.add_argument("listen", type=_address)
    asked.add_argument("target", type=_address)
    asked.add_argument("delay", type=float, nargs="?", default=0.0, help="ms")
    given = asked.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(given.listen, given.target, given.delay / 1000))


if __name__ == "__main__":
    main()
