"""Decodes pictures, and computes allowed output sizes. `opened` takes long: call it in a thread."""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Final

from PIL import ExifTags, Image, ImageChops

from edits.media.kinds import PictureInvalid
from edits.media.sniff import JPEG_END, PictureInfo
from edits.media.stripping import Bare

SHORTEST_SIDE: Final = 128
LONGEST_SIDE: Final = 2048
LARGEST_AREA: Final = 1_048_576
SIDE_STEP: Final = 8

_DECODER_FAULTS: Final = (
    OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, EOFError, MemoryError,
    struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""Exceptions of Pillow's plug-ins on damaged files."""

_FILLER: Final = b"".join(bytes(range(0xA5, 0xFF)) + b"\xff%c" % restart for restart in range(0xD0, 0xD8))
"""Made-up pixels of a JPEG, also behind each of its restart markers."""


@contextmanager
def opened(bare: Bare, info: PictureInfo) -> Iterator[Image.Image]:
    """The decoded picture. Raises PictureInvalid, for any error inside the context too."""
    try:
        with _loaded(bare.data, info) as picture:
            if bare.is_open and info.extension == "jpg":
                _check_whole(picture, bare.data, info)
            yield picture
    except _DECODER_FAULTS:
        cut, damaged = "the picture is cut short", "the picture cannot be opened: its pixels are damaged"
        raise PictureInvalid(cut if bare.is_open else damaged) from None


def low_bytes(bare: Bare) -> Image.Image:
    """The lower halves of the samples of a PNG of 16 bits in colour; Pillow's own decoding keeps the upper."""
    picture = Image.open(io.BytesIO(bare.data), formats=["PNG"])
    picture.tile = [tile._replace(args="RGB;16L") for tile in picture.tile]
    picture.load()
    return picture


def _loaded(data: bytes, info: PictureInfo) -> Image.Image:
    picture = Image.open(io.BytesIO(data), formats=[info.content_type.removeprefix("image/")])
    picture.load()
    if picture.size != (info.width, info.height):
        raise PictureInvalid("the picture's header and its pixels do not agree")
    return picture


def _check_whole(picture: Image.Image, data: bytes, info: PictureInfo) -> None:
    """Pixels that bytes put before the end mark would change are missing, and the decoder made them up."""
    with _loaded(data.removesuffix(JPEG_END) + _FILLER + JPEG_END, info) as other:
        if ImageChops.difference(picture, other).getbbox(alpha_only=False) is not None:
            raise PictureInvalid("the picture is cut short")


def orientation(exif: bytes) -> int:
    """1 where the EXIF is missing or damaged, as in browsers; XMP does not count."""
    notes = Image.Exif()
    try:
        notes.load(exif)
        noted = notes.get(ExifTags.Base.Orientation, 1)
    except _DECODER_FAULTS:
        return 1
    return noted if isinstance(noted, int) else 1


def nearest_size(width: int, height: int) -> tuple[int, int]:
    """The allowed output size nearest to a picture of this size: its own if it may be, else the same shape made to fit.

    Shapes longer than 16 to 1 have no allowed size: they get the longest.
    """
    if width < 1 or height < 1:
        raise ValueError("a picture has at least one pixel")
    if width < height:
        long, short = nearest_size(height, width)
        return short, long
    most = min(LONGEST_SIDE / width, math.sqrt(LARGEST_AREA / (width * height)))
    scale = min(max(1.0, SHORTEST_SIDE / height), most)
    wanted = width * scale, max(height * scale, float(SHORTEST_SIDE))
    around = product(_steps_around(wanted[0]), _steps_around(wanted[1]))
    allowed = [(wide, high) for wide, high in around if wide * high <= LARGEST_AREA]
    return min(allowed, key=lambda size: math.hypot(math.log(size[0] / wanted[0]), math.log(size[1] / wanted[1])))


def _steps_around(side: float) -> tuple[int, int]:
    """Allowed sides just below and just above."""
    below = max(SHORTEST_SIDE, math.floor(side / SIDE_STEP) * SIDE_STEP)
    above = min(LONGEST_SIDE, math.ceil(side / SIDE_STEP) * SIDE_STEP)
    return below, above
