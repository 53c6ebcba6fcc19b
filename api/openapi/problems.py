"""An example of each problem, made by what answers the real ones."""

import json
from typing import Any, Final

from api import errors
from api.problem import FieldProblem

EDIT_ID: Final = "edit_01JD3Q9V6T0000000000000000"
REQUEST_ID: Final = "req_043d10d61688580070c2b5dd"
PATH: Final = {"{edit_id}": EDIT_ID, "{token}": "ZKi0gv9i…", "{filename}": "result.png"}
"""What stands in the places of a path."""


def _instance(path: str) -> str:
    """The address as it is called, for a path as it is described."""
    for name, value in PATH.items():
        path = path.replace(name, value)
    return path


def problem(code: str, *, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """An answer with `code` to a call of `path`, as it is made for a real one."""
    kind = "unknown_parameter" if code == "invalid" and "requestBody" not in operation else code
    detail, pointer = _DETAILS.get(f"{operation['operationId']}:{code}") or _DETAILS[kind]
    faults = [FieldProblem(pointer=pointer, code=_FAULTS.get(kind, code), message=detail)] if pointer else []
    shown = f"{pointer}: {detail}" if code == "invalid" else detail
    answered = errors.answer(errors.Problem(code, shown, faults=faults), path=_instance(path), request_id=REQUEST_ID)
    value: dict[str, Any] = json.loads(bytes(answered.body))
    return value


_DETAILS: Final[dict[str, tuple[str, str | None]]] = {
    "malformed": ("the body is not JSON: expected value at line 1 column 1", None),
    "bad_cursor": ("This cursor is not one of ours; begin without one.", None),
    "unauthorized": ("This key is not valid.", None),
    "not_found": (f"There is no edit {EDIT_ID}.", None),
    "not_finished": (f"{EDIT_ID} is processing: its result is not there yet.", None),
    "not_succeeded": (f"{EDIT_ID} has no result: it is failed.", None),
    "too_late": (f"{EDIT_ID} is past the queue; the provider has no cancel.", None),
    "retry_edit:too_late": (f"{EDIT_ID} did not fail; only a failed edit can be tried again.", None),
    "get_object:gone": ("This link has expired; a fresh one is in the edit.", None),
    "get_object:not_found": ("This is no link of ours.", None),
    "receive_qubico_callback:not_found": ("There is no such callback.", None),
    "receive_qubico_callback:malformed": ("There is no task in this body.", None),
    "receive_qubico_callback:invalid": ("this call has no such parameter", "query:colour"),
    "gone": (f"{EDIT_ID} is no longer kept: its time was over on 2024-12-20.", None),
    "body_too_large": ("a body may have up to 14243157 bytes", None),
    "image_too_large": ("the picture has more than 10485760 bytes", "/image"),
    "unsupported_type": ("this is a GIF, not a PNG, JPEG or WebP picture", "/image"),
    "range_not_satisfiable": ("the picture has 123456 bytes", None),
    "invalid": ("Input should be a multiple of 8", "/width"),
    "unknown_parameter": ("this call has no such parameter", "query:colour"),
    "idempotency_key_reused": ("This Idempotency-Key was used with another request.", None),
    "image_unreadable": ("the picture cannot be opened: its pixels or its notes are damaged", "/image"),
    "input_unreachable": ("the address answers 404", "/image"),
    "tenant_queue_full": ("1000 edits of this tenant are waiting already; try again later.", None),
    "queue_full": ("1000000 edits are waiting already; try again later.", None),
    "unavailable": ("Redis does not answer.", None),
    "accept_unknown": ("Redis may have taken the edit; ask again with the same Idempotency-Key.", None),
    "draining": ("This process is ending; ask again, another one takes it.", None),
}
"""What is said with each code, and of which field."""

_FAULTS: Final = {"invalid": "not_a_multiple", "unknown_parameter": "unknown_field"}
