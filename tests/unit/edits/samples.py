"""Small sound pictures of every kind that we take, and PNGs made by hand."""

import io
import struct
import zlib
from random import Random

from PIL import ExifTags, Image

from edits.media import kinds, pictures, sniff, stripping
from edits.media.sniff import PictureInfo


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 24)) -> Image.Image:
    noise = Random(7).randbytes(size[0] * size[1] * 4)
    return Image.frombytes("RGBA", size, noise).convert(mode)


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def open_fully(data: bytes) -> PictureInfo:
    """As uploads are opened: the structure and its caps first, so that no bomb is unpacked."""
    found = sniff.sniff(data)
    if found is None:
        raise kinds.PictureInvalid("the picture is cut short")
    with pictures.opened(stripping.stripped(data, found.info.extension), found.info):
        return found.info


ANIMATION = {"save_all": True, "append_images": [picture("RGBA").rotate(90)], "duration": 50}

SAMPLES = {
    "png": saved(picture(), "PNG"),
    "png with alpha": saved(picture("RGBA"), "PNG"),
    "png with a palette": saved(picture("P"), "PNG"),
    "png in grey": saved(picture("L"), "PNG"),
    "png of one bit": saved(picture("1"), "PNG"),
    "png with exif": saved(picture(), "PNG", exif=turned(6)),
    "jpeg": saved(picture(), "JPEG"),
    "progressive jpeg": saved(picture(), "JPEG", progressive=True),
    "jpeg with restarts": saved(picture(), "JPEG", restart_marker_blocks=1),
    "jpeg in grey": saved(picture("L"), "JPEG"),
    "jpeg in cmyk": saved(picture("CMYK"), "JPEG"),
    "jpeg with exif and comment": saved(picture(), "JPEG", exif=turned(6), comment=b"\xff\xd9 is not the end"),
    "webp": saved(picture(), "WEBP"),
    "lossless webp": saved(picture(), "WEBP", lossless=True),
    "webp with alpha": saved(picture("RGBA"), "WEBP"),
    "webp with exif": saved(picture(), "WEBP", exif=turned(6)),
    "animated webp": saved(picture("RGBA"), "WEBP", **ANIMATION),
    "animated png": saved(picture("RGBA"), "PNG", **ANIMATION),
}
EXPECTED = {
    "png": PictureInfo("image/png", "png", 40, 24),
    "jpeg": PictureInfo("image/jpeg", "jpg", 40, 24),
    "webp": PictureInfo("image/webp", "webp", 40, 24),
}


def expected(name: str) -> PictureInfo:
    return next(info for word, info in EXPECTED.items() if word in name)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [
        struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def header(width: int, height: int, *rest: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, *(rest or (8, 2, 0, 0, 0)))


PIXELS, END = (b"IDAT", zlib.compress(b"\0\1\2\3")), (b"IEND", b"")
