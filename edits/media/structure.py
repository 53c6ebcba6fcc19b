"""Reading a file's structure while its bytes arrive: a reader takes what it needs and yields when it needs more.

However the bytes were cut into chunks, the reader sees the same file.
"""

import re
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, TypeVar

MOST_PARTS: Final = 65_536
"""Chunks, segments and markers of one file. No program writes nearly as many, and each takes some microseconds."""

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


def check_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    if not width or not height:
        raise PictureInvalid("the picture has no pixels")
    if width * height > max_pixels:
        reason = f"the picture has {width} x {height} pixels, {max_pixels / 1_000_000:g} million are allowed"
        raise PictureInvalid(reason, code="image_too_large")
    return width, height


class Cursor:
    """The bytes that have arrived and were not yet taken."""

    def __init__(self) -> None:
        self._chunk = b""
        self._at = 0
        self._ended = False
        self._parts = 0

    def give(self, chunk: bytes) -> None:
        self._chunk = self._chunk[self._at :] + chunk
        self._at = 0

    def end(self) -> None:
        self._ended = True

    def begin_part(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise PictureInvalid(f"the picture has more than {MOST_PARTS} parts")

    def peek(self, size: int) -> Steps[bytes]:
        """The next `size` bytes without taking them; fewer only where the file ends."""
        while len(self._chunk) - self._at < size and not self._ended:
            yield
        return self._chunk[self._at : self._at + size]

    def need(self, size: int) -> Steps[bytes]:
        """Like `peek`, but a file that ends before is cut short."""
        found = yield from self.peek(size)
        if len(found) < size:
            raise PictureInvalid("the picture is cut short")
        return found

    def take(self, size: int) -> Steps[bytes]:
        taken = yield from self.need(size)
        self._at += size
        return taken

    def skip(self, size: int, crc: int = 0) -> Steps[int]:
        """Passes over `size` bytes, however many; what comes back is `crc` carried on over them."""
        while size:
            yield from self.need(1)
            piece = memoryview(self._chunk)[self._at : self._at + size]
            crc = zlib.crc32(piece, crc)
            self._at += len(piece)
            size -= len(piece)
        return crc

    def skip_to(self, pattern: "re.Pattern[bytes]") -> Steps[None]:
        """Passes over bytes until `pattern` matches at the next one, as far as those that arrived can tell."""
        while True:
            yield from self.need(1)
            found = pattern.search(self._chunk, self._at)
            self._at = found.start() if found else len(self._chunk)
            if found:
                return

    def skip_rest(self) -> Steps[None]:
        while (yield from self.peek(1)):
            self._at = len(self._chunk)

    def expect_end(self) -> Steps[None]:
        if (yield from self.peek(1)):
            raise PictureInvalid("more bytes follow the end of the picture")
