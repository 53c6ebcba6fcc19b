"""An edit's form (RFC 7578): the picture as a file in `image`, the other fields as text, by the same rules as JSON."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request
from pydantic_core import from_json
from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, parse_options_header

from api import body
from api.errors import Problem, invalid, pointer
from api.schemas.requests import EditRequest
from edits.errors import InputRefused

PICTURE: Final = "image"
FILE: Final = "data:,"  # stands for the file among the fields

INTEGERS: Final = frozenset({"width", "height", "steps", "seed", "expires_in"})
OBJECTS: Final = frozenset({"metadata"})

_IN_MEMORY: Final = {"MAX_MEMORY_FILE_SIZE": float("inf"), "UPLOAD_ERROR_ON_BAD_CTE": True}
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")


@dataclass(slots=True)
class Form:
    max_picture: int
    max_text: int  # bytes that the other fields may still take
    values: dict[str, Any] = field(default_factory=dict)
    picture: bytes | None = None
    complete: bool = False

    @property
    def fields(self) -> bytes:
        """The form as JSON, with FILE for the file; the schema checks it."""
        return json.dumps(self.values).encode()

    def on_field(self, part: Field) -> None:
        """A part without a file name is a file, too, if neither its type nor its bytes are text."""
        plain = (part.content_type or "text/plain").lower().startswith(("text/", "application/json"))
        self._take(part, part.value or b"", is_file=not plain)

    def on_file(self, part: File) -> None:
        part.file_object.seek(0)
        self._take(part, part.file_object.read(), is_file=True)

    def on_end(self) -> None:
        self.complete = True

    def too_large(self) -> Problem | InputRefused:
        if self.picture is not None or self.max_text < 0:
            return Problem("body_too_large", "The form's text fields are too large. Send the picture as a file.")
        message = f"the picture is larger than {self.max_picture} bytes"
        return InputRefused(message, code="image_too_large", pointer="/image")

    def _take(self, part: Field | File, sent: bytes, *, is_file: bool) -> None:
        name = (part.field_name or b"").decode("utf-8", "replace")
        if name not in EditRequest.model_fields:
            raise _refused(name, "unknown_field", "is not a field of an edit; send the picture as `image`")
        if name in self.values:
            raise _refused(name, "duplicate", "appears twice in this form")
        text = None if is_file and name == PICTURE else _text(sent)
        if text is not None:
            self.max_text -= len(sent)
            if self.max_text < 0:
                raise self.too_large()
            self.values[name] = _value(name, text)
        elif name == PICTURE:
            if len(sent) > self.max_picture:
                raise self.too_large()
            self.picture, self.values[name] = sent, FILE
        else:
            raise _refused(name, "invalid", "must be text in UTF-8")


async def read(request: Request, *, max_picture: int, max_text: int) -> Form:
    """Raises Problem: malformed, body_too_large or invalid; and InputRefused for a file over `max_picture` bytes."""
    form = Form(max_picture, max_text)
    boundary = parse_options_header(request.headers["content-type"])[1].get(b"boundary") or None
    try:
        parser = FormParser(body.FORM, form.on_field, form.on_file, form.on_end, boundary=boundary, config=_IN_MEMORY)
        async for piece in body.pieces(request, max_bytes=max_picture + max_text):
            parser.write(piece)
    except FormParserError as exc:
        raise Problem("malformed", "The body is not valid multipart/form-data.") from exc
    except Problem as exc:
        if exc.code != "body_too_large":
            raise
        raise form.too_large() from exc
    if not form.complete:
        raise Problem("malformed", "The form ends before its last boundary.")
    return form


def _text(sent: bytes) -> str | None:
    try:
        return sent.decode()
    except UnicodeDecodeError:
        return None


def _value(name: str, text: str) -> Any:
    """The JSON value of a form's text. Text that is no number stays text; the schema then refuses it."""
    if name in INTEGERS and _INTEGER.fullmatch(text):
        return int(text)
    try:
        return from_json(text, allow_inf_nan=False) if name in OBJECTS else text
    except ValueError:
        raise _refused(name, "invalid", "must be an object written as JSON") from None


def _refused(name: str, code: str, message: str) -> Problem:
    return invalid((pointer(name[:64]), code, message))
