"""Reads `data:image/…;base64,…` as browsers do: parameters and whitespace are ignored, padding is mended."""

import binascii
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from edits.media.kinds import CONTENT_TYPES, PictureInvalid

LONGEST_HEAD: Final = 1024  # most characters before the comma: a type, and parameters such as a file name

_TYPES: Final = {kind: kind for kind in CONTENT_TYPES.values()} | {"image/jpg": "image/jpeg"}
_HEAD: Final = re.compile(r"data:([^,]*),", re.IGNORECASE)
_WHITESPACE: Final = b" \t\r\n\f"
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_NOT_BASE64: Final = "the data URI is not proper base64"
_EXAMPLE: Final = "data:image/png;base64,…"


def is_data_uri(text: str) -> bool:
    return text[:5].lower() == "data:"


def most_characters(max_bytes: int) -> int:
    """Characters of the longest data URI of `max_bytes` in JSON: each line of 76 may end with four more."""
    return max_bytes * 3 // 2


def parse(text: str, *, max_bytes: int) -> tuple[str, bytes]:
    """The declared content type and the bytes. Raises PictureInvalid, for a picture over the cap before it is decoded.

    The URL-safe alphabet, percent-encoding and `image/jpg` are accepted.
    """
    head = _HEAD.match(text, 0, LONGEST_HEAD)
    if not head:
        raise PictureInvalid(f"the data URI has no type and comma: write {_EXAMPLE}")
    declared, *parameters = (part.strip().lower() for part in head[1].split(";"))
    if declared not in _TYPES:
        raise PictureInvalid("the data URI must be image/png, image/jpeg or image/webp", code="unsupported_type")
    if "base64" not in parameters:
        raise PictureInvalid(f"the data URI must be in base64: {_EXAMPLE}")
    body = text[head.end() :]
    encoded = unquote_to_bytes(body) if "%" in body else body.encode("ascii", "replace")
    digits = encoded.translate(_STANDARD, _WHITESPACE).removesuffix(b"=").removesuffix(b"=")
    if len(digits) * 3 // 4 > max_bytes:
        raise PictureInvalid(f"the picture has more than {max_bytes} bytes", code="image_too_large")
    if not digits:
        raise PictureInvalid("the data URI holds no bytes")
    if b"=" in digits:
        raise PictureInvalid(_NOT_BASE64)
    try:
        return _TYPES[declared], binascii.a2b_base64(digits + b"=" * (-len(digits) % 4), strict_mode=True)
    except binascii.Error:
        raise PictureInvalid(_NOT_BASE64) from None
