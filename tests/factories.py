"""Makes complete, plain edits; a test names only the fields that matter to it."""

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

from edits.models import Edit, EditError, EditInput, EditResult, ErrorKind, new_id
from edits.retry import FINAL_FAILURES
from edits.storage import layout

MOMENT: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
PROMPT: Final = "make the sky stormy"
IMAGE: Final = "http://pictures.example/house.jpg"


def make_input(**changes: Any) -> EditInput:
    return EditInput(**{"prompt": PROMPT, "image": IMAGE, "seed": 7} | changes)


def make_edit(**changes: Any) -> Edit:
    """A queued edit. Takes fields of the edit and of its input (`prompt`, `image`, …)."""
    given = {name: changes.pop(name) for name in list(changes) if name in EditInput.model_fields}
    plain = {
        "id": new_id(),
        "tenant": "default",
        "livemode": False,
        "input": make_input(**given),
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
    return Edit(**plain | changes)


def make_result(edit_id: str, *, attempt: int = 1, **changes: Any) -> EditResult:
    content = f"result of {edit_id}".encode()
    plain = {
        "key": layout.result_key(edit_id, attempt, "png"),
        "content_type": "image/png",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "width": 1024,
        "height": 768,
    }
    return EditResult(**plain | changes)


def make_error(kind: ErrorKind = ErrorKind.PROVIDER_FAILED, **changes: Any) -> EditError:
    plain = {
        "kind": kind,
        "message": "The provider says only that the task failed.",
        "retryable": kind not in FINAL_FAILURES,
    }
    return EditError(**plain | changes)
