"""Undoes the `Content-Encoding` of a body, in bounded pieces: a small body may unpack to gigabytes."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final

from qubico.errors import ResultTooLarge

UNPACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
NOT_UNPACKED: Final = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
"""Real encodings that this program does not read. All other values (`identity`, `aws-chunked`, `base64`, `utf-8`) are
labels that S3 and its kin keep beside plain bytes; browsers ignore them."""

PIECE_BYTES: Final = 64 * 1024

MOST_LAYERS: Final = 5  # as in curl

_ANY_ZLIB: Final = 32 + zlib.MAX_WBITS  # gzip or zlib, by its first bytes


class EncodingInvalid(ValueError):
    """The bytes are not of the encoding that their sender declares, or are of one that is not read."""


class Unpacker:
    """Feed it each chunk of a body, then `finish`.

    Raises EncodingInvalid, or ResultTooLarge for more than `max_bytes`, packed, unpacked or in between.
    """

    def __init__(self, content_encoding: str, *, max_bytes: int) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        if unknown := NOT_UNPACKED.intersection(names):
            raise EncodingInvalid(f"the content encoding {min(unknown)} is not supported")
        self._layers = [_Layer(name, self.check) for name in reversed(names) if name in UNPACKED]
        if len(self._layers) > MOST_LAYERS:
            raise EncodingInvalid(f"more than {MOST_LAYERS} content encodings are not supported")
        self._max_bytes = max_bytes
        self.received = 0
        self.unpacked = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Unpacked pieces of at most 64 KiB, or the chunk itself if nothing is packed."""
        self.received += len(chunk)
        self.check(self.received)
        pieces: Iterable[bytes] = (chunk,)
        for layer in self._layers:
            pieces = chain.from_iterable(map(layer.feed, pieces))
        for piece in pieces:
            self.unpacked += len(piece)
            yield piece

    def whole(self, body: bytes) -> bytes:
        """A whole body, unpacked. zlib copies the rest of what it is fed at the end of each member: it gets pieces."""
        parts = (body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES))
        unpacked = b"".join(piece for part in parts for piece in self.feed(part))
        self.finish()
        return unpacked

    def check(self, size: int) -> None:
        """Raises ResultTooLarge for more bytes than the cap."""
        if size > self._max_bytes:
            raise ResultTooLarge(f"the file has more than the {self._max_bytes} bytes that are allowed")

    def finish(self) -> None:
        for layer in self._layers:
            layer.finish()


class _Layer:
    """One encoding; a gzip body may have several members, with zeros between them."""

    def __init__(self, name: str, check: Callable[[int], None]) -> None:
        """`check` is called with the number of bytes that are unpacked."""
        self._name = name
        self._check = check
        self._inflater: Any = None
        self._members = self._unpacked = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        is_full = False
        if self._members and self._inflater is None:
            chunk = chunk.lstrip(b"\0")
        while chunk or is_full:
            inflater = self._inflater = self._inflater or zlib.decompressobj(_window(chunk, self._name))
            try:
                piece = inflater.decompress(chunk, PIECE_BYTES)
            except zlib.error:
                raise self._invalid() from None
            chunk, is_full = inflater.unconsumed_tail, len(piece) == PIECE_BYTES
            if inflater.eof:
                chunk, is_full, self._inflater = inflater.unused_data.lstrip(b"\0"), False, None
                self._members += 1
            if piece:
                self._unpacked += len(piece)
                self._check(self._unpacked)
                yield piece

    def finish(self) -> None:
        if self._inflater is not None:
            raise self._invalid()

    def _invalid(self) -> EncodingInvalid:
        return EncodingInvalid(f"the file is not {self._name}, though its sender says so")


def _window(start: bytes, name: str) -> int:
    """Many servers send deflate without zlib's frame, whose first byte ends with an 8."""
    return -zlib.MAX_WBITS if name == "deflate" and start[0] & 15 != 8 else _ANY_ZLIB
