"""Reads a request's body piece by piece, with a cap, whatever its headers say about its length."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request

from api.errors import Problem

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"

STALLED: Final = 30
"""Seconds without a byte, after which a sender is given up."""


async def pieces(request: Request, *, max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Problem: body_too_large, or malformed when it does not come."""
    received, more = 0, True
    while more:
        try:
            async with asyncio.timeout(STALLED):
                message = await request.receive()
        except TimeoutError:
            detail = f"the body stopped coming for {STALLED} s"
            raise Problem("malformed", detail, headers={"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise Problem("malformed", "the body broke off")
        piece, more = message.get("body", b""), message.get("more_body", False)
        received += len(piece)
        if received > max_bytes:
            # The connection stays open: the server throws the rest away, so that whoever still sends gets to read this.
            raise Problem("body_too_large", f"a body may have up to {max_bytes} bytes")
        yield piece


async def read(request: Request, *, max_bytes: int) -> bytes:
    """All of it. Raises Problem as `pieces` does, at once where the announced length is over the cap."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and int(announced) > max_bytes:
        raise Problem("body_too_large", f"a body may have up to {max_bytes} bytes")
    received = bytearray()
    async for piece in pieces(request, max_bytes=max_bytes):
        received += piece
    return bytes(received)


def media_type(request: Request) -> str:
    """JSON or FORM. Raises Problem unsupported_type: what a body is taken for is said by its sender, never guessed."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent not in {JSON, FORM}:
        shown = f"this is {sent[:80]!r}" if sent else "there is no such header"
        raise Problem("unsupported_type", f"send {JSON} or {FORM}, and say so in Content-Type ({shown})")
    return sent
