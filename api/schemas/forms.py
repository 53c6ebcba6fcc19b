"""An edit's form (RFC 7578): the picture as a file in `image`, the other fields as text, by the same rules as JSON."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from pydantic_core import from_json
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from api import body
from api.errors import Problem, invalid
from api.schemas.requests import EditRequest
from edits.errors import InputRefused

PICTURE: Final = "image"
INTEGERS: Final = frozenset({"width", "height", "steps", "seed", "expires_in"})
OBJECTS: Final = frozenset({"metadata"})

_CLEAR: Final = frozenset({b"", b"7bit", b"8bit", b"binary"})
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Form:
    fields: bytes
    """All but the file, as JSON; the schema checks it."""

    picture: bytes | None


async def read(request: Request, *, max_picture: int, max_text: int) -> Form:
    """Raises Problem: malformed, body_too_large or invalid; and InputRefused for a file over `max_picture` bytes."""
    parts = _Parts(max_picture=max_picture, max_text=max_text)
    try:
        parser = MultipartParser(_boundary(request), parts.callbacks)  # type: ignore[arg-type] # a TypedDict of its own
        async for piece in body.pieces(request, max_bytes=max_picture + max_text):
            parser.write(piece)
    except FormParserError as exc:
        raise Problem("malformed", "The body is not valid multipart/form-data.") from exc
    if not parts.complete:
        raise Problem("malformed", "The form ends before its last boundary.")
    return Form(json.dumps(parts.fields).encode(), parts.picture)


class _Parts:
    """Collects the parts that the parser finds, and refuses a part as soon as its headers are read."""

    def __init__(self, *, max_picture: int, max_text: int) -> None:
        self.fields: dict[str, Any] = {}
        self.picture: bytes | None = None
        self.complete = False
        self._max_picture = max_picture
        self._text_left = max_text
        self._headers: dict[bytes, bytes] = {}
        self._header, self._value = b"", b""
        self._name, self._is_file = "", False
        self._data = bytearray()
        self.callbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._head,
            "on_part_data": self._chunk,
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def _begin(self) -> None:
        self._headers, self._data = {}, bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def _head(self) -> None:
        sent = self._headers.get(b"content-disposition", b"")
        disposition, options = parse_options_header(sent)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if disposition != b"form-data" or b"name" not in options or not name.isprintable():
            raise Problem("malformed", "A part of the form has no `Content-Disposition: form-data` with a name.")
        if self._headers.get(b"content-transfer-encoding", b"").strip().lower() not in _CLEAR:
            raise Problem("malformed", "A part of the form has a Content-Transfer-Encoding. Send its bytes unencoded.")
        if name not in EditRequest.model_fields:
            raise _refused(name, "unknown_field", "is not a field of an edit; send the picture as `image`")
        if name in self.fields or (name == PICTURE and self.picture is not None):
            raise _refused(name, "duplicate", "appears twice in this form")
        kind, _ = parse_options_header(self._headers.get(b"content-type", b"text/plain"))
        plain = kind.startswith(b"text/") or kind == b"application/json"
        self._name, self._is_file = name, name == PICTURE and (b"filename" in sent.lower() or not plain)

    def _chunk(self, data: bytes, start: int, end: int) -> None:
        self._data += memoryview(data)[start:end]
        if self._is_file and len(self._data) > self._max_picture:
            message = f"the picture is larger than {self._max_picture} bytes"
            raise InputRefused(message, code="image_too_large", pointer="/image")
        if not self._is_file and len(self._data) > self._text_left:
            raise Problem("body_too_large", "The fields beside the file are too large.")

    def _end(self) -> None:
        if self._is_file:
            self.picture = bytes(self._data)
        else:
            self._text_left -= len(self._data)
            self.fields[self._name] = _value(self._name, bytes(self._data))

    def _complete(self) -> None:
        self.complete = True


def _boundary(request: Request) -> bytes:
    _, options = parse_options_header(request.headers["content-type"])
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise Problem("malformed", "Content-Type names no boundary.")
    return boundary


def _value(name: str, sent: bytes) -> Any:
    """As it would stand in JSON. What is not a number stays text, which its field then refuses."""
    try:
        text = sent.decode()
        if name in INTEGERS and _INTEGER.fullmatch(text):
            return int(text)
        return from_json(text, allow_inf_nan=False) if name in OBJECTS else text
    except UnicodeDecodeError:
        raise _refused(name, "invalid", "must be text in UTF-8") from None
    except ValueError:
        raise _refused(name, "invalid", "must be an object written as JSON") from None


def _refused(name: str, code: str, message: str) -> Problem:
    return invalid("/" + name[:64].replace("~", "~0").replace("/", "~1"), code, message)
