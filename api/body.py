"""Reads a request's body piece by piece, with a cap on what arrives and on what it decodes to."""

import asyncio
import gzip
import io
import zlib
from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request

from api.errors import Problem

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"

STALLED: Final = 30
"""Seconds without a byte, after which the request is refused."""


def announced(request: Request) -> int:
    """Bytes of the body as sent, by its Content-Length; 0 if there is none."""
    length = request.headers.get("content-length", "")
    return int(length[:20]) if length.isdecimal() else 0


async def pieces(request: Request, *, max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it comes, decoded. Raises Problem: body_too_large, unsupported_type, or malformed if incomplete."""
    if announced(request) > max_bytes:
        raise _too_large(max_bytes)
    received = _received(request)
    received = _gunzipped(_capped(received, max_bytes), max_bytes) if _is_gzip(request) else received
    async for piece in _capped(received, max_bytes):
        yield piece


async def read(request: Request, *, max_bytes: int) -> bytes:
    """The whole body. Raises Problem as `pieces` does."""
    return b"".join([piece async for piece in pieces(request, max_bytes=max_bytes)])


def media_type(request: Request) -> str:
    """JSON or FORM, as the sender says; it is never guessed. Raises Problem unsupported_type."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent not in {JSON, FORM}:
        shown = f"is {sent[:80]!r}" if sent else "is missing"
        raise Problem("unsupported_type", f"Content-Type {shown}. Send {JSON} or {FORM}.")
    return sent


def _is_gzip(request: Request) -> bool:
    sent = ",".join(request.headers.getlist("content-encoding")).lower()
    encodings = [name for name in (part.strip() for part in sent.split(",")) if name not in {"", "identity"}]
    if encodings and encodings not in (["gzip"], ["x-gzip"]):
        detail = f"Content-Encoding {sent[:80]!r} is not supported. Send the body uncompressed or as gzip."
        raise Problem("unsupported_type", detail, headers={"Accept-Encoding": "gzip"})
    return bool(encodings)


async def _received(request: Request) -> AsyncIterator[bytes]:
    more = True
    while more:
        try:
            async with asyncio.timeout(STALLED):
                message = await request.receive()
        except TimeoutError:
            detail = f"No byte of the body arrived for {STALLED} s. Send it again."
            raise Problem("malformed", detail, headers={"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise Problem("malformed", "The connection closed before the body was complete.")
        more = message.get("more_body", False)
        if more and request.app.state.parts.live.late:  # the rest would be cut; so far nothing was accepted
            raise Problem("draining", "This process is shutting down. Send the request again.")
        yield message.get("body", b"")


async def _capped(pieces: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """The connection stays open on a refusal: the server discards the rest, so that the sender reads the answer."""
    total = 0
    async for piece in pieces:
        total += len(piece)
        if total > max_bytes:
            raise _too_large(max_bytes)
        yield piece


async def _gunzipped(pieces: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """Yields at most one byte more than `max_bytes`."""
    sent = b"".join([piece async for piece in pieces])
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(sent)) as file:
            yield file.read(max_bytes + 1)
    except EOFError as exc:
        raise Problem("malformed", "The gzip body is incomplete.") from exc
    except (gzip.BadGzipFile, zlib.error) as exc:
        raise Problem("malformed", "The body is not valid gzip, although Content-Encoding says so.") from exc


def _too_large(max_bytes: int) -> Problem:
    return Problem("body_too_large", f"The body is larger than {max_bytes} bytes.")
