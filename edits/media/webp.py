"""WebP: reads the header of its first part, and strips every part that is neither pixels nor colour."""

import struct
from collections.abc import Iterator
from typing import Final

from edits.media.picture import Opening, PictureInvalid, Stripped, check_parts

_FIRST: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X"})
_KEPT: Final = _FIRST | {b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
_HAS_NOTES: Final = 0x08 | 0x04
"""Flags of VP8X: EXIF and XMP follow."""


def opening(head: bytes) -> Opening | None:
    if len(head) < 30:
        return None
    kind = head[12:16]
    if kind not in _FIRST:
        raise PictureInvalid("the WebP is damaged: it does not begin with a picture")
    width, height = _size(kind, head[20:30])
    return Opening(width, height, 20, length=8 + int.from_bytes(head[4:8], "little"))


def _size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise PictureInvalid("the WebP is damaged: the header of a part is wrong")


def strip(data: bytes) -> Stripped:
    """The length in the header is written to fit. Browsers do not turn a WebP by its EXIF. Raises PictureInvalid."""
    kept = []
    for kind, body in _parts(data):
        if kind == b"VP8X" and body:
            kept.append((kind, bytes([body[0] & ~_HAS_NOTES]) + body[1:]))
        elif kind in _KEPT:
            kept.append((kind, body))
    written = b"".join(struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) % 2) for kind, body in kept)
    return Stripped(b"RIFF" + struct.pack("<I", 4 + len(written)) + b"WEBP" + written)


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every complete part up to the length in the header; the last may lack its padding."""
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    at, number = 12, 0
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        number += 1
        check_parts(number)
        if at + 8 + length > end:
            raise PictureInvalid("the picture is cut short")
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
