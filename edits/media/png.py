"""PNG: reads the header, and strips every chunk that is neither pixels nor colour."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from edits.media.picture import Opening, PictureInvalid, Stripped, check_parts

MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_TRAILER: Final = b"IEND\xaeB`\x82"
_END: Final = b"\0\0\0\0" + _TRAILER
_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_KEPT: Final = _CRITICAL | {b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP"}
_LARGEST_PROFILE: Final = 4 * 1024 * 1024
_DECODERS_PROFILE: Final = 1024 * 1024
"""Bytes of an unpacked profile above which Pillow refuses the whole picture (`PngImagePlugin.MAX_TEXT_CHUNK`)."""

_PIXELS_AT: Final = 33
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits a sample, by colour type."""

_PALETTE: Final = 3


def opening(head: bytes) -> Opening | None:
    if len(head) < _PIXELS_AT:
        return None
    if head[8:16] != b"\0\0\0\x0dIHDR":
        raise PictureInvalid("the PNG does not begin with its header")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack_from(">IIBBBBB", head, 16)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise PictureInvalid("the PNG's header holds values that no PNG has")
    return Opening(width, height, _PIXELS_AT, trailer=_TRAILER)


def bits(data: bytes) -> int:
    """Bits a sample."""
    return data[24]


def strip(data: bytes) -> Stripped:
    """A note with a wrong checksum is dropped like any note; wrong pixels are refused. Raises PictureInvalid."""
    kept, exif, profile = [MAGIC], b"", None
    for kind, body, whole in _chunks(data):
        if kind == b"eXIf":
            exif = exif or bytes(body)
        if kind == b"iCCP":
            unpacked = _profile(body)
            if unpacked is None or len(unpacked) > _DECODERS_PROFILE:
                profile = unpacked
                continue
        if kind in _KEPT:
            kept.append(whole)
    kinds = [part[4:8] for part in kept]
    if kinds.count(b"IHDR") != 1 or (data[25] == _PALETTE and b"PLTE" not in kinds):
        raise PictureInvalid("the PNG has two headers or lacks its palette")
    if kinds[-1] != b"IEND":
        kept.append(_END)
    if sum(len(part) for part in kept) != len(data):
        data = b"".join(kept)
    return Stripped(data, exif=exif, profile=profile)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, bytes]]:
    """Kind, body and whole chunk, up to IEND or the first incomplete chunk. Damaged notes are left out."""
    view, at, number = memoryview(data), len(MAGIC), 0
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        number += 1
        check_parts(number)
        if end > len(data) or not kind.isalpha():
            return
        if zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(view[end - 4 : end], "big"):
            yield kind, view[at + 8 : end - 4], data[at:end]
        elif kind in _CRITICAL and kind != b"IEND":
            raise PictureInvalid("the PNG is damaged: the checksum of a chunk is wrong")
        if kind == b"IEND":
            return
        at = end


def _profile(body: memoryview) -> bytes | None:
    """The unpacked colour profile; None if it is damaged or larger than any real one."""
    packed = bytes(body).partition(b"\0")[2][1:]
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed, _LARGEST_PROFILE)
    except zlib.error:
        return None
    return profile if unpacker.eof else None
