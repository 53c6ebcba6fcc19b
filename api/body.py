"""Reads a request's body with a cap, whatever its headers say about its length."""

import asyncio
from typing import Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from api.errors import Problem

STALLED: Final = 30
"""Seconds without a byte, after which a sender is given up."""


async def read(request: Request, *, max_bytes: int) -> bytes:
    """Raises Problem: body_too_large, or malformed when the body does not come."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    received = bytearray()
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(STALLED) as patience:
            async for chunk in request.stream():
                patience.reschedule(loop.time() + STALLED)
                received += chunk
                if len(received) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        detail = f"the body stopped coming for {STALLED} s"
        raise Problem("malformed", detail, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Problem("malformed", "the body broke off") from None
    return bytes(received)


def require_json(request: Request) -> None:
    """Raises Problem unsupported_type. Without the header a browser's form could post here, so it is asked for."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        sent = f"this is {media_type[:80]!r}" if media_type else "there is no such header"
        raise Problem("unsupported_type", f"send JSON, with Content-Type: application/json ({sent})")


def _too_large(max_bytes: int) -> Problem:
    # The connection stays open: the server throws the rest away, so that whoever is still sending gets to read this.
    return Problem("body_too_large", f"a body may have up to {max_bytes} bytes")
