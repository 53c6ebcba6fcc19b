"""Tells kind and size of a file by its head, and wholeness by its length or trailer. It decodes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edits.media import jpeg, png, webp
from edits.media.picture import Opening, PictureInfo, PictureInvalid

MAX_PIXELS: Final = 40_000_000
"""More than a phone's best camera makes; decoded, they take 160 MB."""

LONGEST_HEAD: Final = 4 * 1024 * 1024
"""Bytes before the pixels. A JPEG's notes and colour profile may take many segments of 64 KiB."""

HEAD_BYTES: Final = 16
"""By which every kind is told."""

_OTHERS: Final = {
    "a GIF": (b"gif8",),
    "a web page": (b"<!doctype", b"<html", b"<head"),
    "an SVG or XML": (b"<svg", b"<?xml"),
    "a PDF": (b"%pdf",),
    "a BMP": (b"bm",),
    "a TIFF": (b"ii*\0", b"mm\0*"),
    "a ZIP": (b"pk\3\4",),
    "JSON": (b"{", b"["),
}
_BRANDS: Final = {
    "a HEIC": (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"),
    "an AVIF": (b"avif", b"avis"),
}
"""By the major brand of an ISO media file; any other brand is a video."""


@dataclass(frozen=True, slots=True)
class _Kind:
    content_type: str
    extension: str
    opening: Callable[[bytes], Opening | None]


_PNG: Final = _Kind("image/png", "png", png.opening)
_JPEG: Final = _Kind("image/jpeg", "jpg", jpeg.opening)
_WEBP: Final = _Kind("image/webp", "webp", webp.opening)


def _kind(head: bytes) -> _Kind:
    if head.startswith(png.MAGIC):
        return _PNG
    if head.startswith(b"\xff\xd8\xff"):
        return _JPEG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _WEBP
    raise PictureInvalid(f"this is {_name(head)}, not a PNG, JPEG or WebP picture", code="unsupported_type")


def _name(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head[4:8] == b"ftyp":
        return next((name for name, brands in _BRANDS.items() if head[8:12].lower() in brands), "a video")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((name for name, starts in _OTHERS.items() if text.startswith(starts)), "another kind of file")


def extension_of(head: bytes) -> str:
    """png, jpg or webp, by the first 16 bytes of a file. Raises PictureInvalid, which names the kind."""
    return _kind(head).extension


def content_type_of(head: bytes) -> str:
    """image/png, image/jpeg or image/webp, like `extension_of`."""
    return _kind(head).content_type


def look(data: bytes, *, max_pixels: int = MAX_PIXELS) -> PictureInfo:
    """Kind and size of a complete file, by its head. Raises PictureInvalid."""
    kind = _kind(data[:HEAD_BYTES])
    opening = kind.opening(data)
    if opening is None:
        raise PictureInvalid("the picture is cut short")
    return _info(kind, opening, max_pixels)


class Sniffer:
    """Follows a file while it streams: `feed` each chunk, then `finish`. Both raise PictureInvalid."""

    def __init__(self, *, max_pixels: int = MAX_PIXELS) -> None:
        self._max_pixels = max_pixels
        self._head: bytes | None = b""
        self._info: PictureInfo | None = None
        self._opening: Opening | None = None
        self._bytes = 0
        self._tail = b""
        self._ended = False

    def feed(self, chunk: bytes) -> None:
        self._bytes += len(chunk)
        if self._head is None:
            self._look_for_end(chunk)
            return
        self._head += chunk
        if len(self._head) >= HEAD_BYTES:
            self._open(self._head)

    def finish(self) -> PictureInfo:
        """No more bytes come: what the picture is."""
        if self._head is not None:
            _kind(self._head)
        if self._info is None or self._opening is None or not self._ended or self._bytes < self._opening.length:
            raise PictureInvalid("the picture is cut short")
        return self._info

    def _open(self, head: bytes) -> None:
        kind = _kind(head)
        opening = kind.opening(head)
        if opening is None:
            if len(head) > LONGEST_HEAD:
                raise PictureInvalid(f"the picture has more than {LONGEST_HEAD} bytes before its pixels")
            return
        self._info, self._opening, self._head = _info(kind, opening, self._max_pixels), opening, None
        self._look_for_end(head[opening.pixels_at :])

    def _look_for_end(self, chunk: bytes) -> None:
        trailer = self._opening.trailer if self._opening else b""
        if not self._ended:
            seen = self._tail + chunk
            self._ended = trailer in seen
            self._tail = seen[-len(trailer) + 1 :]


def _info(kind: _Kind, opening: Opening, max_pixels: int) -> PictureInfo:
    width, height = opening.width, opening.height
    if not width or not height:
        raise PictureInvalid("the picture has no pixels")
    if width * height > max_pixels:
        reason = f"the picture has {width} x {height} pixels, {max_pixels / 1_000_000:g} million are allowed"
        raise PictureInvalid(reason, code="image_too_large")
    return PictureInfo(kind.content_type, kind.extension, width, height)
