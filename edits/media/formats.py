"""How PNG, JPEG and WebP files are built: one reader a format, which follows the structure to its end.

Nothing is decoded: what a decoder would find wrong in the pixels themselves is not looked for.
"""

import re
import struct
import zlib
from typing import Final

from edits.media.structure import Cursor, PictureInfo, PictureInvalid, Steps, check_size

_OTHERS: Final = {
    "a GIF": (b"gif8",),
    "a web page": (b"<!doctype", b"<html", b"<head"),
    "an SVG or XML": (b"<svg", b"<?xml"),
    "a BMP": (b"bm",),
    "a TIFF": (b"ii*\0", b"mm\0*"),
    "JSON": (b"{", b"["),
}

_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits a sample, by colour type."""
_PNG_PALETTE: Final = 3

_JPEG_END: Final = 0xD9
_JPEG_SCAN: Final = 0xDA
_JPEG_RESTARTS: Final = range(0xD0, 0xD8)
_JPEG_BARE: Final = range(0xD0, 0xD9)
"""Markers without a length, restarts and the start; none of them begins a segment."""
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_COMMON_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive: what browsers show."""
_JPEG_SCAN_ENDS: Final = re.compile(rb"\xff(?![\x00\xd0-\xd7])")
"""Not a stuffed byte, not a restart; matches also where the next byte has not arrived."""

_JPEG_MOST_SCANS: Final = 64
"""Encoders write a dozen. Each takes a decoder over the whole picture again, however few its bytes are."""

_WEBP_PICTURES: Final = frozenset({b"VP8 ", b"VP8L"})
_WEBP_FIRST: Final = _WEBP_PICTURES | {b"VP8X"}


def extension_of(head: bytes) -> str:
    """png, jpg or webp, by the first bytes of a file; raises PictureInvalid for anything else."""
    if head.startswith(_PNG_MAGIC):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    raise PictureInvalid(f"this is {_name(head)}, not a PNG, JPEG or WebP picture", code="unsupported_type")


def follow(cursor: Cursor, *, max_pixels: int) -> Steps[PictureInfo]:
    """Reads whatever `cursor` brings, to the end of the file."""
    head = yield from cursor.peek(16)
    read = {"png": _png, "jpg": _jpeg, "webp": _webp}[extension_of(head)]
    return (yield from read(cursor, max_pixels))


def _name(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head[4:8] == b"ftyp":
        return "an AVIF, HEIC or video"
    text = head.lstrip().lower()
    return next((known for known, starts in _OTHERS.items() if text.startswith(starts)), "another kind of file")


def _png(cursor: Cursor, max_pixels: int) -> Steps[PictureInfo]:
    yield from cursor.take(len(_PNG_MAGIC))
    header = yield from cursor.need(21)
    if header[:8] != b"\0\0\0\x0dIHDR":
        raise PictureInvalid("the PNG does not begin with its header")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack_from(">IIBBBBB", header, 8)
    check_size(width, height, max_pixels)
    if depth not in _PNG_DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise PictureInvalid("the PNG's header holds values that no PNG has")
    seen: set[bytes] = set()
    while b"IEND" not in seen:
        kind = yield from _png_chunk(cursor)
        if kind == b"IHDR" and kind in seen:
            raise PictureInvalid("the PNG has two headers")
        seen.add(kind)
    if b"IDAT" not in seen or (colour == _PNG_PALETTE and b"PLTE" not in seen):
        raise PictureInvalid("the PNG lacks its pixels or its palette")
    yield from cursor.expect_end()
    return PictureInfo("image/png", "png", width, height)


def _png_chunk(cursor: Cursor) -> Steps[bytes]:
    cursor.begin_part()
    length, kind = struct.unpack(">I4s", (yield from cursor.take(8)))
    if length >= 2**31 or not kind.isalpha() or (kind == b"IEND" and length):
        raise PictureInvalid("the PNG is damaged: a chunk of it has no proper name or length")
    crc = yield from cursor.skip(length, zlib.crc32(kind))
    if int.from_bytes((yield from cursor.take(4)), "big") != crc:
        raise PictureInvalid("the PNG is damaged: the checksum of a chunk is wrong")
    return bytes(kind)


def _jpeg(cursor: Cursor, max_pixels: int) -> Steps[PictureInfo]:
    """Bytes after the end marker are let through: phones put previews and moving pictures there."""
    yield from cursor.take(2)
    size: tuple[int, int] | None = None
    scans = 0
    marker = yield from _jpeg_marker(cursor)
    while marker != _JPEG_END:
        length = yield from _jpeg_length(cursor, marker)
        if marker in _JPEG_FRAMES:
            if size:
                raise PictureInvalid("the JPEG has two headers")
            size = yield from _jpeg_frame(cursor, marker, length, max_pixels)
        else:
            yield from cursor.skip(length)
        if marker == _JPEG_SCAN:
            scans += 1
            if scans > _JPEG_MOST_SCANS:
                raise PictureInvalid(f"the JPEG has more than {_JPEG_MOST_SCANS} scans")
            marker = yield from _jpeg_scan(cursor)
        else:
            marker = yield from _jpeg_marker(cursor)
    if size is None or not scans:
        raise PictureInvalid("the JPEG lacks its header or its pixels")
    yield from cursor.skip_rest()
    return PictureInfo("image/jpeg", "jpg", *size)


def _jpeg_marker(cursor: Cursor) -> Steps[int]:
    if (yield from cursor.take(1)) != b"\xff":
        raise PictureInvalid("the JPEG is damaged: a segment does not begin where it should")
    code = b"\xff"
    while code == b"\xff":  # several may stand before a marker
        cursor.begin_part()
        code = yield from cursor.take(1)
    return code[0]


def _jpeg_length(cursor: Cursor, marker: int) -> Steps[int]:
    length = int.from_bytes((yield from cursor.take(2)), "big") - 2
    if length < 0 or marker < 0xC0 or marker in _JPEG_BARE:
        raise PictureInvalid("the JPEG is damaged: a segment of it has no proper name or length")
    return length


def _jpeg_frame(cursor: Cursor, marker: int, length: int, max_pixels: int) -> Steps[tuple[int, int]]:
    if marker not in _JPEG_COMMON_FRAMES:
        raise PictureInvalid("this kind of JPEG (lossless, hierarchical or arithmetic) is not taken")
    if length < 6:
        raise PictureInvalid("the JPEG is damaged: its header is too short")
    height, width = struct.unpack_from(">HH", (yield from cursor.need(6)), 1)
    yield from cursor.skip(length)
    return check_size(width, height, max_pixels)


def _jpeg_scan(cursor: Cursor) -> Steps[int]:
    """Passes over coded pixels to the marker that ends them."""
    while True:
        yield from cursor.skip_to(_JPEG_SCAN_ENDS)
        marker = yield from _jpeg_marker(cursor)
        if marker and marker not in _JPEG_RESTARTS:
            return marker


def _webp(cursor: Cursor, max_pixels: int) -> Steps[PictureInfo]:
    left = int.from_bytes((yield from cursor.take(12))[4:8], "little") - 4
    seen: set[bytes] = set()
    sizes: list[tuple[int, int]] = []
    while left > 0:
        cursor.begin_part()
        kind, length = struct.unpack("<4sI", (yield from cursor.take(8)))
        left -= 8 + length + length % 2
        if left < 0 or (not seen and kind not in _WEBP_FIRST):
            raise PictureInvalid("the WebP is damaged: a part of it has no proper name or length")
        if kind in _WEBP_FIRST and kind not in seen:
            size = _webp_size(kind, (yield from cursor.need(min(length, 10))))
            sizes.append(check_size(*size, max_pixels))
        seen.add(kind)
        yield from cursor.skip(length + length % 2)
    if not seen & {*_WEBP_PICTURES, b"ANMF"} or len(set(sizes)) > 1:
        raise PictureInvalid("the WebP lacks its pixels, or its parts do not agree on their size")
    yield from cursor.expect_end()
    return PictureInfo("image/webp", "webp", *sizes[0])


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X" and len(body) == 10:
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(body) == 10 and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise PictureInvalid("the WebP is damaged: the header of a part is wrong")
