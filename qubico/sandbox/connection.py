"""Missing answers: connections reset, held, or closed in the middle, on a real socket.

ASGI has no word for this, so the server's transport is taken from the `send` that uvicorn hands to the application.
"""

import asyncio
import socket
import struct
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SEND = "sandbox.send"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Dropped(Response):
    """The connection is reset; not one byte is answered. Counted under the status 0."""

    def __init__(self) -> None:
        super().__init__(status_code=0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        transport = _transport(scope)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        transport.abort()
        await _gone(receive)


class Hanging(Dropped):
    """No answer until the caller gives up, or the server stops."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        try:
            await _gone(receive)
        except asyncio.CancelledError:
            _transport(scope).abort()
            await _gone(receive)


class Cut(Response):
    """Promises the whole body and closes half-way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = bytes(self.body)
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        _transport(scope).close()
        await _gone(receive)


def _transport(scope: Scope) -> Any:
    return scope[SEND].__self__.transport


async def _gone(receive: Receive) -> None:
    """The server must see the connection end first, or it would answer 500 for us."""
    while (await receive())["type"] != "http.disconnect":
        pass
