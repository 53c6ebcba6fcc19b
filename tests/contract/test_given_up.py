"""A canceled create ends on the wire, too: bytes unsent by then are never sent."""

import asyncio
import socket

import pytest

from qubico.errors import AnswerLost
from qubico.schemas import KontextRequest

IN_THE_KERNEL = 400_000
IN_OUR_BUFFER = 12_000_000


@pytest.mark.filterwarnings("ignore:Sending a large body")
@pytest.mark.parametrize("size", [IN_THE_KERNEL, IN_OUR_BUFFER])
async def test_what_has_not_left_at_the_timeout_does_not_leave_later(client_of, size):
    """A network that stood still must not bring it when its task counts as absent."""
    given_up = asyncio.Event()
    received: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await given_up.wait()
        writer.transport.resume_reading()
        received.set_result(await _read_to_the_end(reader))
        writer.transport.abort()

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what it has not read is still with the sender
    request = KontextRequest(prompt="x", image="A" * size, steps=28, seed=1)
    async with (
        await asyncio.start_server(serve, sock=listening),
        client_of(f"http://127.0.0.1:{listening.getsockname()[1]}", create_timeout=1.5) as client,
    ):
        with pytest.raises(AnswerLost):
            await client.create(request)
        given_up.set()
        assert await asyncio.wait_for(received, 90) < size / 2


async def _read_to_the_end(reader: asyncio.StreamReader) -> int:
    read = 0
    try:
        while chunk := await reader.read(2**16):
            read += len(chunk)
    except ConnectionError:
        pass
    return read
