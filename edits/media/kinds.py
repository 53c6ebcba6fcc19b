"""Recognises the kind of a file by its first bytes, and names refused kinds."""

from typing import Final

CONTENT_TYPES: Final = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}  # by extension

PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"

KIND_BYTES: Final = 64  # first bytes that show a file's kind

_HEIF_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_OTHERS: Final = {
    "a GIF": (b"gif8",),
    "a web page": (b"<!doctype html", b"<html", b"<head"),
    "an SVG or XML": (b"<svg", b"<?xml", b"<!doctype svg"),
    "a PDF": (b"%pdf-",),
    "a BMP": (b"bm",),
    "a TIFF": (b"ii*\0", b"mm\0*", b"ii+\0", b"mm\0+"),
    "a JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cjxl "),
    "a JPEG 2000": (b"\0\0\0\x0cjp  ", b"\xff\x4f\xff\x51"),
    "an icon": (b"\0\0\1\0",),
    "a Photoshop file": (b"8bps",),
    "a ZIP archive": (b"pk\3\4",),
    "JSON": (b"{", b"["),
}


class PictureInvalid(Exception):
    """Not an accepted picture. `code` is `unsupported_type`, `image_too_large` or `image_unreadable`."""

    def __init__(self, reason: str, *, code: str = "image_unreadable") -> None:
        super().__init__(reason)
        self.code = code


def kind_of(head: bytes) -> str:
    """png, jpg or webp, from at least 16 bytes. Raises PictureInvalid that names any other kind."""
    if head.startswith(PNG_MAGIC):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    raise PictureInvalid(f"this is {_name(head)}, not a PNG, JPEG or WebP picture", code="unsupported_type")


def _name(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head[4:8] == b"ftyp":
        brands = [head[at : at + 4] for at in range(8, min(len(head), KIND_BYTES), 4)]
        if {b"avif", b"avis"} & {*brands}:
            return "an AVIF"
        return "a HEIC" if {*_HEIF_BRANDS} & {*brands} else "a video"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").lower()
    starting = (
        known for known, starts in _OTHERS.items() if text.startswith(starts) or head.lower().startswith(starts)
    )
    return next(starting, "an unknown kind of file")
