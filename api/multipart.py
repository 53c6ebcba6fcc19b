"""Cuts a multipart/form-data body (RFC 7578) into its parts while it arrives, and refuses what is not written so.

Nothing but the part in hand is held, and of that only what was not yet taken.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Final

from api.errors import Problem

LONGEST_BOUNDARY: Final = 70
MOST_PARTS: Final = 64
MOST_HEAD_BYTES: Final = 8 * 1024

_CLEAR: Final = frozenset({"", "7bit", "8bit", "binary"})
_PARSER: Final = BytesHeaderParser()


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    is_file: bool
    """Whether it says so: by a file name, or by a type that is none of text or JSON."""

    chunks: AsyncIterator[bytes]
    """To be read to its end before the next part is asked for."""


async def parts(pieces: AsyncIterator[bytes], content_type: str) -> AsyncIterator[Part]:
    """The parts of a body whose Content-Type is `content_type`. Raises Problem malformed."""
    body = _Body(pieces, b"\r\n--" + _boundary(content_type))
    async for _ in body.until_delimiter():
        raise _malformed("the body does not begin with its boundary")
    for _ in range(MOST_PARTS):
        if (sign := await body.take(2)) == b"--":
            async for _ in pieces:  # what follows the last boundary means nothing
                pass
            return
        if sign != b"\r\n":
            raise _malformed("a boundary is followed by something else than the end of its line")
        yield _part(await body.take_head(), body.until_delimiter())
    raise _malformed(f"the form has {MOST_PARTS} parts or more")


class _Body:
    """The bytes that have arrived and were not taken yet."""

    def __init__(self, pieces: AsyncIterator[bytes], delimiter: bytes) -> None:
        self._pieces = pieces
        self._delimiter = delimiter
        self._held = bytearray(b"\r\n")  # the first delimiter has no line before it

    async def until_delimiter(self) -> AsyncIterator[bytes]:
        """All bytes before the next delimiter, which is taken too."""
        while (at := self._held.find(self._delimiter)) < 0:
            # The last bytes may be the beginning of a delimiter.
            safe = len(self._held) - len(self._delimiter) + 1
            if safe > 0:
                yield self._taken(safe)
            await self._more()
        if at:
            yield self._taken(at)
        self._taken(len(self._delimiter))

    async def take(self, size: int) -> bytes:
        while len(self._held) < size:
            await self._more()
        return self._taken(size)

    async def take_head(self) -> bytes:
        """The headers of a part, with the empty line after them."""
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > MOST_HEAD_BYTES:
                break
            await self._more()
        if not 0 <= end <= MOST_HEAD_BYTES:
            raise _malformed(f"the headers of a part take more than {MOST_HEAD_BYTES} bytes")
        return self._taken(end + 4)

    async def _more(self) -> None:
        piece = await anext(self._pieces, None)
        if piece is None:
            raise _malformed("the form breaks off before its last boundary")
        self._held += piece

    def _taken(self, size: int) -> bytes:
        taken = bytes(memoryview(self._held)[:size])
        del self._held[:size]
        return taken


def _boundary(content_type: str) -> bytes:
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary("")
    if not (boundary.isascii() and boundary.isprintable() and 0 < len(boundary) <= LONGEST_BOUNDARY):
        raise _malformed("the Content-Type names no boundary that can be used")
    return boundary.encode()


def _part(head: bytes, chunks: AsyncIterator[bytes]) -> Part:
    headers = _PARSER.parsebytes(head)
    name = headers.get_param("name", header="content-disposition")
    if headers.get_content_disposition() != "form-data" or not isinstance(name, str) or not name.isprintable():
        raise _malformed("a part has no `Content-Disposition: form-data` with a name")
    if str(headers.get("content-transfer-encoding", "")).lower() not in _CLEAR:
        raise _malformed("a part is in a transfer encoding: send its bytes as they are")
    plain = headers.get_content_maintype() == "text" or headers.get_content_type() == "application/json"
    return Part(name, is_file=headers.get_filename() is not None or not plain, chunks=chunks)


def _malformed(detail: str) -> Problem:
    return Problem("malformed", detail)
