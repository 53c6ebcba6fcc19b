"""A provider on a bare socket: it reads whole requests, counts them, and sends scripted answers or faults."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ANSWERS = Path(__file__).parents[1] / "fixtures" / "qubico"


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Provider:
    """What reached it. A request counts only when all of it was read."""

    requests: list[Request] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    received: int = 0
    port: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def posts(self) -> list[Request]:
        return [request for request in self.requests if request.method == "POST"]


@asynccontextmanager
async def provider(behave: Behaviour) -> AsyncGenerator[Provider]:
    seen = Provider()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.writers.append(writer)
        seen.connected.set()
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                seen.requests.append(await _request(reader, seen))
                seen.asked.set()
                await behave(seen.requests[-1], writer)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await server.wait_closed()


async def _request(reader: asyncio.StreamReader, seen: Provider) -> Request:
    first = await reader.readexactly(1)
    head = first + await reader.readuntil(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in fields)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    seen.received += len(head) + len(body)
    method, target, _version = line.split(" ")
    return Request(method=method, target=target, headers=headers, body=body)


def answer(status: str, body: bytes = b"", *fields: str, length: int | None = None) -> bytes:
    """One answer on the wire; `length` lies about the body's."""
    said = len(body) if length is None else length
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {said}", *fields, "", ""]).encode() + body


def recorded(name: str) -> bytes:
    head, _, body = (ANSWERS / f"{name}.http").read_bytes().partition(b"\n\n")
    status, *fields = head.decode().split("\n")
    return answer(status.removeprefix("HTTP/1.1 "), body, *fields)


def says(sent: bytes) -> Behaviour:
    async def behave(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)

    return behave


def then_closes(sent: bytes = b"") -> Behaviour:
    async def behave(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        writer.close()
        raise ConnectionResetError

    return behave


async def resets(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Close so that the other side gets a RST."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    raise ConnectionResetError


async def keeps_silent(_request: Request, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def trickles(_request: Request, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, so that no single read ever takes too long."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.02)
