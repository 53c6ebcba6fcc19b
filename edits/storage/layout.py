"""The keys of an edit's objects: each contains the day and the id of its edit."""

import re
from typing import Final

from ulid import ULID

from edits.media import kinds

CONTENT_TYPES: Final = kinds.CONTENT_TYPES | {"json": "application/json"}  # by extension

LONGEST_KEY: Final = 512

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9_.-]*"
_KEY = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
"""No empty, hidden or `..` segments, and only characters without meaning in a shell, a URL or a file system."""


def edit_folder(edit_id: str) -> str:
    """The folder of all objects of an edit; the day is that of its id, in UTC."""
    prefix, _, ulid = edit_id.partition("_")
    if prefix != "edit" or len(ulid) != 26:
        raise ValueError("an edit's id is edit_ and a ULID")
    return f"edits/{ULID.from_str(ulid).datetime:%Y/%m/%d}/{edit_id}"


def result_key(edit_id: str, attempt: int, extension: str) -> str:
    """Each attempt has its own key: a late copy of an old attempt cannot replace a newer result."""
    folder = edit_folder(edit_id)
    return f"{folder}/result.{extension}" if attempt == 1 else f"{folder}/{attempt}/result.{extension}"


def input_key(edit_id: str, extension: str) -> str:
    return f"{edit_folder(edit_id)}/input.{extension}"


def manifest_key(edit_id: str) -> str:
    return f"{edit_folder(edit_id)}/manifest.json"


def edit_of(key: str) -> str | None:
    """The id of the edit that an object belongs to; None for a key that no function here makes."""
    parts = key.split("/")
    try:
        edit_id = parts[4]
        mine = checked(key).startswith(edit_folder(edit_id) + "/")
    except (IndexError, ValueError):
        return None
    return edit_id if mine else None


def checked(key: str) -> str:
    """The key itself; raises ValueError for one that no function here makes."""
    if len(key) > LONGEST_KEY or not _KEY.fullmatch(key):
        raise ValueError("an object's key is made of plain names between single slashes")
    return key


def content_type(key: str) -> str:
    return CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream")
