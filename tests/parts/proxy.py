"""A TCP proxy on loopback that delays, drops or replaces replies, and resets connections."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Between a client and the server on `target` of this machine."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.lose = 0
        """Drops this many replies and resets their connections; the server has executed the requests."""
        self.instead: bytes | None = None
        """Reply to the first request of each new connection, instead of the server's. `cut` the existing ones."""
        self._flowing = asyncio.Event()
        self._forwarding = asyncio.Event()
        self.flow()
        self.before_forwarding: Callable[[bytes], None] | None = None
        self.rewrite: Callable[[bytes], bytes] | None = None
        """Changes each chunk of a reply."""
        self.lost = 0
        self.connections = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Accepts no further connections."""
        assert self._server is not None
        self._server.close()

    def hold(self) -> None:
        """Withholds replies; connections stay open."""
        self._flowing.clear()

    def swallow(self) -> None:
        """Forwards nothing in either direction; connections stay open."""
        self.hold()
        self._forwarding.clear()

    def flow(self) -> None:
        self._flowing.set()
        self._forwarding.set()

    async def stop(self) -> None:
        self.flow()
        self.refuse()
        self.cut()
        await asyncio.gather(*list(self._serving), return_exceptions=True)

    def lead_to(self, target: int) -> None:
        """Sends new connections to another server, as after a failover. Existing connections stay."""
        self._target = target

    def cut(self) -> None:
        """Resets every connection."""
        for writer in list(self._open):
            _reset(writer)

    async def _serve(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        try:
            if self.instead is not None:
                await self._answer(client, writer, self.instead)
                return
            try:
                server = await asyncio.open_connection("127.0.0.1", self._target)
            except OSError:  # nothing listens: the client sees a reset
                _reset(writer)
                return
            await self._between((client, writer), server)
        finally:
            self._serving.discard(serving)

    async def _answer(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
        """Replies to one HTTP request. Reads the body first: a client that is reset while it sends reads no reply."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await client.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            await client.readexactly(int(length or 0))
            writer.write(answer)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _between(self, client: Streams, server: Streams) -> None:
        self._open |= {client[1], server[1]}
        pumps = [
            asyncio.create_task(self._requests(client[0], server[1])),
            asyncio.create_task(self._replies(server[0], client[1])),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (client[1], server[1]):
                self._open.discard(end)
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _requests(self, client: asyncio.StreamReader, forward: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await client.read(65536):
                if self.before_forwarding is not None:
                    self.before_forwarding(data)
                await self._forwarding.wait()
                forward.write(data)
                await forward.drain()

    async def _replies(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await upstream.read(65536):
                await self._flowing.wait()
                if self.lose > 0:
                    self.lose -= 1
                    self.lost += 1
                    _reset(writer)
                    return
                writer.write(data if self.rewrite is None else self.rewrite(data))
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.asynccontextmanager
async def run_proxy(target: int) -> AsyncIterator[Proxy]:
    """A proxy before the server on port `target`, gone with all its connections when the block ends."""
    proxy = Proxy(target)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
