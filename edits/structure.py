"""The structure of PNG, JPEG and WebP files, followed piece by piece as their bytes arrive.

Each format is one generator: it takes what it needs from a `Cursor` and yields when it needs more. Nothing is decoded, and
no more than a few bytes are held, so that it costs half a millisecond a picture.
"""

import re
import struct
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Resumed whenever the cursor was given more, or was told that there is no more."""


class PictureInvalid(Exception):
    """No picture that we take. `code` is `unsupported_type`, `image_too_large` or `image_unreadable`."""

    def __init__(self, reason: str, *, code: str = "image_unreadable") -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """`width` and `height` are those of the stored pixels; a camera may ask for a quarter turn when they are shown."""

    content_type: str
    extension: str
    width: int
    height: int
    turned: bool = False

    @property
    def oriented_width(self) -> int:
        return self.height if self.turned else self.width

    @property
    def oriented_height(self) -> int:
        return self.width if self.turned else self.height


class Cursor:
    """The bytes that have arrived and were not yet taken: at most one chunk."""

    def __init__(self) -> None:
        self._chunk = memoryview(b"")
        self._ended = False

    def give(self, chunk: bytes) -> None:
        self._chunk = memoryview(chunk)

    def end(self) -> None:
        self._ended = True

    def piece(self, at_most: int) -> Steps[memoryview]:
        """The next bytes, one to `at_most` of them; raises PictureInvalid when there are none to come."""
        if not (yield from self.more()):
            raise PictureInvalid("the picture is cut short")
        taken, self._chunk = self._chunk[:at_most], self._chunk[at_most:]
        return taken

    def take(self, size: int) -> Steps[bytes]:
        taken = bytearray()
        while len(taken) < size:
            taken += yield from self.piece(size - len(taken))
        return bytes(taken)

    def skip(self, size: int, crc: int = 0) -> Steps[int]:
        """Passes over `size` bytes; what comes back is `crc` carried on over them."""
        while size:
            piece = yield from self.piece(size)
            crc = zlib.crc32(piece, crc)
            size -= len(piece)
        return crc

    def skip_to(self, pattern: "re.Pattern[bytes]") -> Steps[None]:
        """Passes over bytes until one that matches `pattern` is next."""
        while True:
            piece = yield from self.piece(len(self._chunk) or 1)
            found = pattern.search(piece)
            if found:
                self._chunk = memoryview(piece.obj)[len(piece.obj) - len(piece) - len(self._chunk) :]
                return

    def more(self) -> Steps[bool]:
        """Whether another byte is to come."""
        while not self._chunk and not self._ended:
            yield
        return bool(self._chunk)
