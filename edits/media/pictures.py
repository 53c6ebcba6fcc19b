"""Which pictures we take, by their bytes alone whatever their sender says, and which sizes may be asked for.

`PictureCheck` and `inspect` follow the structure only and are cheap; `opened` decodes and belongs in a thread.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Final

from PIL import ExifTags, Image

from edits.media.formats import follow
from edits.media.structure import Cursor, PictureInfo, PictureInvalid

__all__ = [
    "MAX_PIXELS",
    "PictureCheck",
    "PictureInfo",
    "PictureInvalid",
    "inspect",
    "nearest_size",
    "opened",
    "orientation",
]

MAX_PIXELS: Final = 40_000_000
"""A phone's best camera makes fewer; decoded, they take 160 MB."""

SHORTEST_SIDE: Final = 128
LONGEST_SIDE: Final = 2048
LARGEST_AREA: Final = 1_048_576
SIDE_STEP: Final = 8

_DECODER_FAULTS: Final = (
    OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, EOFError, MemoryError,
    struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
"""What Pillow's plug-ins raise on damaged files, each in its own way."""


class PictureCheck:
    """Follows a picture while it streams by: `feed` each chunk, then `finish`. Both raise PictureInvalid."""

    def __init__(self, *, max_pixels: int = MAX_PIXELS) -> None:
        self._cursor = Cursor()
        self._steps = follow(self._cursor, max_pixels=max_pixels)
        self._fault: PictureInvalid | None = None
        self._info: PictureInfo | None = None

    def feed(self, chunk: bytes) -> None:
        self._cursor.give(chunk)
        self._go_on()

    def finish(self) -> PictureInfo:
        """No more bytes: what the picture is."""
        self._cursor.end()
        self._go_on()
        if self._info is None:
            raise AssertionError("a reader ends with the file")
        return self._info

    def _go_on(self) -> None:
        if self._fault:
            raise self._fault
        try:
            next(self._steps)
        except StopIteration as end:
            self._info = self._info or end.value
        except PictureInvalid as fault:
            self._fault = fault
            raise


def inspect(data: bytes, *, max_pixels: int = MAX_PIXELS) -> PictureInfo:
    check = PictureCheck(max_pixels=max_pixels)
    check.feed(data)
    return check.finish()


@contextmanager
def opened(data: bytes, info: PictureInfo) -> Iterator[Image.Image]:
    """The decoded picture that `inspect` found sound. Whatever fails inside is put down to damage."""
    try:
        with Image.open(io.BytesIO(data), formats=[info.content_type.removeprefix("image/")]) as picture:
            picture.load()
            if picture.size != (info.width, info.height):
                raise PictureInvalid("the picture's header and its pixels do not agree")
            yield picture
    except _DECODER_FAULTS:
        raise PictureInvalid("the picture cannot be opened: its pixels or its notes are damaged") from None


def orientation(picture: Image.Image) -> int:
    """1 where the camera's notes are missing or cannot be read: they are no reason to refuse a picture."""
    try:
        noted = picture.getexif().get(ExifTags.Base.Orientation, 1)
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
