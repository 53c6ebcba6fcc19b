"""What is known of a picture, and why it is refused."""

from dataclasses import dataclass, field
from typing import Final

MOST_PARTS: Final = 65_536
"""Chunks or segments of one file. No program writes nearly as many, and each takes some microseconds."""


class PictureInvalid(Exception):
    """Not a picture that is accepted. `code` is `unsupported_type`, `image_too_large` or `image_unreadable`."""

    def __init__(self, reason: str, *, code: str = "image_unreadable") -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """`width` and `height` are those of the stored pixels; EXIF may ask for a quarter turn when they are shown."""

    content_type: str
    extension: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What the head of a file says. The file is whole once it has `length` bytes and its `trailer` was seen."""

    width: int
    height: int
    pixels_at: int
    trailer: bytes = b""
    length: int = 0


@dataclass(frozen=True, slots=True)
class Stripped:
    """A picture without notes and without bytes after its end. `data` is the file itself if there were none."""

    data: bytes = field(repr=False)
    exif: bytes = b""
    profile: bytes | None = None
    """A colour profile too large for the decoder, taken out of `data`."""

    unended: tuple[bytes, ...] = ()
    """A JPEG without its end marker: two variants whose pixels differ where coded pixels are missing."""


def check_parts(number: int) -> None:
    if number > MOST_PARTS:
        raise PictureInvalid(f"the picture has more than {MOST_PARTS} parts")
