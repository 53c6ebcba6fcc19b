"""Reads kind, size and end mark of a media file from its head, its declared length and its last bytes.

One small function a format. Pixels and checksums are not read.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edits.media.kinds import CONTENT_TYPES, PictureInvalid, kind_of

MAX_PIXELS: Final = 40_000_000  # a phone's best camera makes fewer; decoded, they take 160 MB

PNG_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
JPEG_END: Final = b"\xff\xd9"
JPEG_SCAN: Final = 0xDA
JPEG_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive: what browsers show
_HEAD_MOST: Final = 1 << 20  # bytes of a streamed file within which its size must be found
_MOST_SEGMENTS: Final = 4096
_JPEG_MARKER: Final = re.compile(rb"\xff+([\xc0-\xcf\xd9-\xfe])")
"""Stray bytes before it are passed over, as decoders do; restarts and the start have no length."""
_JPEG_ALL_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """`width` and `height` are those of the stored pixels; a camera may ask for a quarter turn when they are shown."""

    content_type: str
    extension: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sniffed:
    info: PictureInfo
    body: int = 0  # offset in bytes; the end mark of a whole file follows it
    end_mark: bytes = b""
    length: int = 0  # bytes that a whole file has at least


class Sniffer:
    """Reads a picture while it streams by: `feed` each chunk, then `finish`. Both raise PictureInvalid."""

    def __init__(self) -> None:
        self._held = b""
        """The head until the size is found, then the last bytes: the end mark may come in two pieces."""
        self._found: Sniffed | None = None
        self._ended = False
        self._bytes = 0

    def feed(self, chunk: bytes) -> None:
        self._bytes += len(chunk)
        if self._ended:
            return
        self._held = data = self._held + chunk
        start = 0
        if self._found is None:
            self._found = sniff(data)
            if self._found is None:
                if len(data) > _HEAD_MOST:
                    raise PictureInvalid(f"the picture names no size in its first {_HEAD_MOST} bytes")
                return
            start = self._found.body
        mark = self._found.end_mark
        self._ended = mark in data[-len(mark) :] or data.find(mark, start) >= 0
        self._held = data[max(start, len(data) - len(mark) + 1) :]

    def finish(self) -> PictureInfo:
        """Call after the last chunk."""
        if self._found is None:
            kind_of(self._held)
        if self._found is None or not self._ended or self._bytes < self._found.length:
            raise PictureInvalid("the picture is cut short")
        return self._found.info


def inspect(data: bytes) -> PictureInfo:
    """A whole file. Raises PictureInvalid."""
    sniffer = Sniffer()
    sniffer.feed(data)
    return sniffer.finish()


def sniff(head: bytes) -> Sniffed | None:
    """None if more bytes are needed. Raises PictureInvalid, also for more pixels than MAX_PIXELS."""
    if len(head) < 16:
        return None
    return {"png": _png, "jpg": _jpeg, "webp": _webp}[kind_of(head)](head)


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, offset of the length, and end of each segment to the first scan's header, as far as `data` reaches."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        found = _JPEG_MARKER.search(data, at)
        if found is None or found.end() + 2 > len(data):
            return
        marker, start = found[1][0], found.end()
        at = start + max(2, int.from_bytes(data[start : start + 2], "big"))
        if marker == JPEG_END[1]:
            raise PictureInvalid("the JPEG lacks its header or its pixels")
        if at > len(data):
            return
        yield marker, start, at
        if marker == JPEG_SCAN:
            return
    raise PictureInvalid(f"the JPEG has more than {_MOST_SEGMENTS} segments before its pixels")


def _sized(extension: str, width: int, height: int) -> PictureInfo:
    if not width or not height:
        raise PictureInvalid("the picture has no pixels")
    if width * height > MAX_PIXELS:
        reason = f"the picture has {width} x {height} pixels, {MAX_PIXELS / 1_000_000:g} million are allowed"
        raise PictureInvalid(reason, code="image_too_large")
    return PictureInfo(CONTENT_TYPES[extension], extension, width, height)


def _png(head: bytes) -> Sniffed | None:
    if head[8:16] != b"\0\0\0\x0dIHDR":
        raise PictureInvalid("the PNG does not begin with its header")
    if len(head) < 33:
        return None
    if head[26] or head[27] or head[28] > 1:
        raise PictureInvalid("the PNG's header holds values that no PNG has")
    return Sniffed(_sized("png", *struct.unpack_from(">II", head, 16)), 33, PNG_END)


def _jpeg(head: bytes) -> Sniffed | None:
    info: PictureInfo | None = None
    for marker, start, end in jpeg_segments(head):
        if marker in _JPEG_ALL_FRAMES:
            info = _jpeg_frame(marker, head[start:end], info)
        if marker == JPEG_SCAN:
            if info is None:
                raise PictureInvalid("the JPEG lacks its header or its pixels")
            return Sniffed(info, end, JPEG_END)
    return None


def _jpeg_frame(marker: int, frame: bytes, before: PictureInfo | None) -> PictureInfo:
    if before:
        raise PictureInvalid("the JPEG has two headers")
    if marker not in JPEG_FRAMES:
        raise PictureInvalid("this kind of JPEG (lossless, hierarchical or arithmetic) is not taken")
    if len(frame) < 8:
        raise PictureInvalid("the JPEG is damaged: its header is too short")
    height, width = struct.unpack_from(">HH", frame, 3)
    return _sized("jpg", width, height)


def _webp(head: bytes) -> Sniffed | None:
    if len(head) < 30:
        return None
    size = _webp_size(head[12:16], head[20:30])
    return Sniffed(_sized("webp", *size), length=8 + int.from_bytes(head[4:8], "little"))


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise PictureInvalid("the WebP is damaged: the header of a part is wrong")
