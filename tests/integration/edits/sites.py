"""A site on loopback that answers as a test says, and a name service that leads where it says."""

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from edits.errors import InputRefused
from edits.network.fetching import Fetcher

CAP = 100_000


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Site:
    """Answers each path as a test says, and remembers what it was asked."""

    port: int
    pages: dict[str, Answer] = field(default_factory=dict)
    asked: list[web.Request] = field(default_factory=list)

    @property
    def trusted(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", self.port)]

    def url(self, path: str = "/picture", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def says(self, path: str = "/picture", *, status: int = 200, body: bytes = b"bytes", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=status, body=body, headers=named)

        self.pages[path] = answer


@contextlib.asynccontextmanager
async def run_site() -> AsyncIterator[Site]:
    async def serve(request: web.Request) -> web.StreamResponse:
        running.asked.append(request)
        return await running.pages[request.path](request)

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    running = Site(listener.getsockname()[1])
    await web.SockSite(runner, listener).start()
    running.says()
    try:
        yield running
    finally:
        await runner.cleanup()


class Names:
    """A name service: each name leads to the addresses given, in their order."""

    def __init__(self, **known: list[str]) -> None:
        self.known = {name.replace("_", "."): addresses for name, addresses in known.items()}

    async def __call__(self, host: str, port: int) -> list[str]:
        if host not in self.known:
            raise OSError(f"no such host: {host}:{port}")
        return self.known[host]


async def refused(fetcher: Fetcher, address: str) -> tuple[str, str]:
    with pytest.raises(InputRefused) as caught:
        await fetcher.fetch(address)
    assert caught.value.pointer == "/image"
    return caught.value.code, str(caught.value)
