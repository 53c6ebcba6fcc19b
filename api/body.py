"""Reads a request's body piece by piece, with a cap on what arrives and on what it decodes to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request

from api.errors import Problem
from qubico.encodings import EncodingInvalid, Unpacker
from qubico.errors import ResultTooLarge

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"

STALLED: Final = 30  # seconds without a byte, after which the request is refused


def announced(request: Request) -> int:
    """Bytes of the body as sent, by its Content-Length; 0 if there is none."""
    length = request.headers.get("content-length", "")
    return int(length[:20]) if length.isdecimal() else 0


async def pieces(request: Request, *, max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it comes, decoded. Raises Problem: body_too_large, unsupported_type, or malformed if incomplete.

    The connection stays open on a refusal: the server discards the rest, so that the sender reads the answer.
    """
    unpacker = Unpacker("gzip" if _is_gzip(request) else "", max_bytes=max_bytes)
    try:
        unpacker.check(announced(request))
        async for received in _received(request):
            for piece in unpacker.feed(received):
                yield piece
        unpacker.finish()
    except EncodingInvalid as exc:
        raise Problem("malformed", "The body is not complete, valid gzip, although Content-Encoding says so.") from exc
    except ResultTooLarge as exc:
        raise Problem("body_too_large", f"The body is larger than {max_bytes} bytes.") from exc


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
