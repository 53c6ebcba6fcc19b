"""An edit's form: the picture as a file in `image`, the other fields as text, checked by the same rules as in JSON."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from pydantic_core import from_json

from api import body, multipart
from api.errors import Problem
from api.problem import FieldProblem
from api.schemas.bodies import EditRequest
from edits.errors import InputRefused

PICTURE: Final = "image"
INTEGERS: Final = frozenset({"width", "height", "steps", "seed", "expires_in"})
OBJECTS: Final = frozenset({"metadata"})

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Form:
    fields: bytes
    """All but the file, as JSON: what is wrong with it the schema says."""

    picture: bytes | None


async def read(request: Request, *, max_picture: int, max_text: int) -> Form:
    """Raises Problem: malformed, body_too_large or invalid; and InputRefused for a file over its cap."""
    fields: dict[str, Any] = {}
    picture: bytes | None = None
    pieces = body.pieces(request, max_bytes=max_picture + max_text)
    left = max_text
    async for part in multipart.parts(pieces, request.headers["content-type"]):
        if part.name not in EditRequest.model_fields:
            raise _refused(part.name, "unknown_field", "is no field of an edit; the picture goes into `image`")
        if part.name in fields or (part.name == PICTURE and picture is not None):
            raise _refused(part.name, "duplicate", "comes twice in this form")
        if part.name == PICTURE and part.is_file:
            picture = await _file(part, max_picture)
        else:
            sent = await _text(part, left)
            left -= len(sent)
            fields[part.name] = _value(part.name, sent)
    return Form(json.dumps(fields).encode(), picture)


async def _file(part: multipart.Part, most: int) -> bytes:
    received = bytearray()
    async for chunk in part.chunks:
        received += chunk
        if len(received) > most:
            raise InputRefused(f"the picture has more than {most} bytes", code="image_too_large", pointer="/image")
    return bytes(received)


async def _text(part: multipart.Part, most: int) -> bytes:
    received = bytearray()
    async for chunk in part.chunks:
        received += chunk
        if len(received) > most:
            raise Problem("body_too_large", "the fields beside the file take too many bytes")
    return bytes(received)


def _value(name: str, sent: bytes) -> Any:
    """As it would stand in JSON. What is no number stays text, which its field then refuses."""
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
    pointer = "/" + name[:64].replace("~", "~0").replace("/", "~1")
    return Problem(
        "invalid", f"{pointer}: {message}", faults=[FieldProblem(pointer=pointer, code=code, message=message)]
    )
