"""Undoes the `Content-Encoding` of a file as it streams by, in bounded pieces: a small file may unpack to gigabytes."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

UNPACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
NOT_UNPACKED: Final = frozenset({"br", "zstd", "compress", "x-compress"})
"""Real encodings that this program does not read. All other values (`aws-chunked`, `base64`, `utf-8`) are labels that
S3 and its kin keep beside plain bytes."""

PIECE_BYTES: Final = 64 * 1024

_ANY_ZLIB: Final = 32 + zlib.MAX_WBITS  # gzip or zlib, by its first bytes


class EncodingInvalid(ValueError):
    """The bytes are not of the encoding that their sender declares, or are of one that is not read."""


def declared(content_encoding: str) -> list[str]:
    """The encodings to undo, outermost first. Raises EncodingInvalid for one that is not read."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    if unknown := NOT_UNPACKED.intersection(names):
        raise EncodingInvalid(f"the content encoding {min(unknown)} is not supported")
    return [name for name in reversed(names) if name in UNPACKED]


async def decoded(chunks: AsyncIterator[bytes], encodings: list[str]) -> AsyncGenerator[bytes]:
    """`chunks` with all `encodings` undone, in pieces of at most 64 KiB. Raises EncodingInvalid."""
    for name in encodings:
        chunks = _unpacked(chunks, name)
    async for chunk in chunks:
        yield chunk


async def _unpacked(chunks: AsyncIterator[bytes], name: str) -> AsyncGenerator[bytes]:
    """One encoding undone; a gzip file may have several members, with zeros between them."""
    inflater = None
    async for chunk in chunks:
        left = chunk
        while left:
            if inflater is None:
                inflater = zlib.decompressobj(_window(left, name))
            with _named(name):
                piece = inflater.decompress(left, PIECE_BYTES)
            left = inflater.unconsumed_tail
            if inflater.eof:
                left, inflater = inflater.unused_data.lstrip(b"\0"), None
            if piece:
                yield piece
    if inflater is not None:  # the last member has not ended: what zlib still holds may end it
        with _named(name):
            piece = inflater.flush()
        if not inflater.eof:
            raise EncodingInvalid(f"the {name} file breaks off")
        yield piece


def _window(start: bytes, name: str) -> int:
    """Many servers send deflate without zlib's frame, whose first byte ends with an 8."""
    return -zlib.MAX_WBITS if name == "deflate" and start[0] & 15 != 8 else _ANY_ZLIB


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except zlib.error:
        raise EncodingInvalid(f"the file is not {name}, though its sender says so") from None
