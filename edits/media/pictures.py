"""Opens pictures and turns them upright; `opened` decodes every pixel, so call it in a thread."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from PIL import ExifTags, Image

from edits.media import jpeg, png, webp
from edits.media.picture import PictureInfo, PictureInvalid, Stripped

_DECODER_FAULTS: Final = (
    OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, EOFError, MemoryError,
    struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow's plug-ins raise on damaged files, each in its own way."""

_STRIP: Final = {"image/png": png.strip, "image/jpeg": jpeg.strip, "image/webp": webp.strip}


def stripped(data: bytes, info: PictureInfo) -> Stripped:
    """The picture without notes and trailing bytes. Raises PictureInvalid."""
    try:
        return _STRIP[info.content_type](data)
    except IndexError:
        raise PictureInvalid("the picture is damaged: a part of it is too short") from None


@contextmanager
def opened(strip: Stripped, info: PictureInfo) -> Iterator[Image.Image]:
    """The decoded picture. Any failure inside is raised as PictureInvalid."""
    try:
        if strip.unended and len({_decoded(variant, info).tobytes() for variant in strip.unended}) > 1:
            raise PictureInvalid("the picture is cut short")
        with _decoded(strip.data, info) as picture:
            yield picture
    except _DECODER_FAULTS:
        raise PictureInvalid("the picture cannot be opened: its pixels are damaged") from None


def _decoded(data: bytes, info: PictureInfo) -> Image.Image:
    picture = Image.open(io.BytesIO(data), formats=[info.content_type.removeprefix("image/")])
    picture.load()
    if picture.size != (info.width, info.height):
        raise PictureInvalid("the picture's header and its pixels do not agree")
    return picture


def orientation(exif: bytes) -> int:
    """1 to 8 as EXIF numbers it; 1 if EXIF is missing or damaged. XMP does not count: no browser turns by it."""
    notes = Image.Exif()
    try:
        notes.load(exif)
        noted = notes.get(ExifTags.Base.Orientation, 1)
    except _DECODER_FAULTS:
        return 1
    return noted if isinstance(noted, int) else 1
