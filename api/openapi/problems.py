"""An example of each problem, made by the code that makes real ones."""

import json
from typing import Any, Final

from api import errors
from api.errors import FieldProblem

EDIT_ID: Final = "edit_01JD3Q9V6T0000000000000000"
REQUEST_ID: Final = "req_043d10d61688580070c2b5dd"
PATH: Final = {"{edit_id}": EDIT_ID, "{token}": "ZKi0gv9i…", "{filename}": "result.png"}
"""Examples of path parameters."""


def _instance(path: str) -> str:
    """A real path for a path template."""
    for name, value in PATH.items():
        path = path.replace(name, value)
    return path


def problem(code: str, *, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """The body of a problem with `code` as an answer to `path`."""
    kind = "unknown_parameter" if code == "invalid" and "requestBody" not in operation else code
    detail, pointer = _DETAILS.get(f"{operation['operationId']}:{code}") or _DETAILS[kind]
    faults = [FieldProblem(pointer=pointer, code=_FAULTS.get(kind, code), message=detail)] if pointer else []
    shown = f"{pointer}: {detail}" if code == "invalid" else detail
    answered = errors.answer(errors.Problem(code, shown, faults=faults), path=_instance(path), request_id=REQUEST_ID)
    value: dict[str, Any] = json.loads(bytes(answered.body))
    return value


_DETAILS: Final[dict[str, tuple[str, str | None]]] = {
    "malformed": ("The body is not JSON: expected value at line 1 column 1", None),
    "bad_cursor": ("This cursor is not valid. Start again without a cursor.", None),
    "unauthorized": ("This key is not valid.", None),
    "not_found": (f"There is no edit {EDIT_ID}.", None),
    "not_finished": (f"{EDIT_ID} is processing and has no result yet; wait until it has ended.", None),
    "not_succeeded": (f"{EDIT_ID} is failed and has no result.", None),
    "too_late": (f"{EDIT_ID} has left the queue; the provider has no cancel.", None),
    "retry_edit:too_late": (f"{EDIT_ID} did not fail; only a failed edit can be retried.", None),
    "get_object:gone": ("This link has expired. Get the edit for a new one.", None),
    "get_object:not_found": ("This link is not valid.", None),
    "receive_qubico_callback:not_found": ("This callback token is not valid.", None),
    "receive_qubico_callback:malformed": ("The body has no task.", None),
    "receive_qubico_callback:invalid": ("this call has no such parameter", "query:colour"),
    "gone": (f"{EDIT_ID} was deleted on 2024-12-20, when its retention ended.", None),
    "body_too_large": ("The body is larger than 14243157 bytes.", None),
    "image_too_large": ("the picture is larger than 10485760 bytes", "/image"),
    "unsupported_type": ("this is a GIF, not a PNG, JPEG or WebP picture", "/image"),
    "range_not_satisfiable": ("The picture has 123456 bytes.", None),
    "invalid": ("Input should be a multiple of 8", "/width"),
    "unknown_parameter": ("this call has no such parameter", "query:colour"),
    "idempotency_key_reused": ("This Idempotency-Key was used for another request. Send a new key.", None),
    "image_unreadable": ("the picture cannot be opened: its pixels are damaged", "/image"),
    "input_unreachable": ("the address answers 404", "/image"),
    "tenant_queue_full": ("The queue is full: 1000 edits of this tenant are waiting. Send it again later.", None),
    "queue_full": ("The queue is full: 1000000 edits are waiting. Send it again later.", None),
    "unavailable": ("Redis does not answer.", None),
    "accept_unknown": ("Redis may have accepted the edit. Send it again with the same Idempotency-Key.", None),
    "draining": ("This process is shutting down. Send the request again.", None),
}
"""The detail of each code, and the field it concerns."""

_FAULTS: Final = {"invalid": "not_a_multiple", "unknown_parameter": "unknown_field"}
