"""The manifest: the whole edit with its timeline, stored beside its result.

Readers ignore unknown fields: a later release may have added them.
"""

import json
from collections.abc import Iterable
from typing import Final

from pydantic_core import to_json

from edits.models import Edit, TimelineEvent

FORMAT: Final = 1


def compose(edit: Edit, timeline: Iterable[TimelineEvent]) -> bytes:
    return to_json({"format": FORMAT, "edit": edit, "timeline": list(timeline)}, indent=1)


def is_newer(data: bytes) -> bool:
    """Whether a later release wrote it."""
    try:
        return int(json.loads(data)["format"]) > FORMAT
    except (ValueError, KeyError, TypeError):
        return False


def read(data: bytes) -> tuple[Edit, list[TimelineEvent]] | None:
    """None for bytes that are no manifest of a format we know."""
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            return None
        edit = Edit.model_validate(content["edit"], extra="ignore")
        return edit, [TimelineEvent.model_validate(event, extra="ignore") for event in content["timeline"]]
    except (ValueError, KeyError, TypeError):
        return None
