"""An example of each problem, made by the code that makes real ones."""

import json
from typing import Any, Final

from api import errors
from api.errors import Problem
from edits.errors import InputRefused

EDIT_ID: Final = "edit_01JD3Q9V6T0000000000000000"
REQUEST_ID: Final = "req_043d10d61688580070c2b5dd"
PATH: Final = {"edit_id": EDIT_ID, "token": "ZKi0gv9i…", "filename": "result.png"}
"""Examples of path parameters."""

_DETAILS: Final = {
    "malformed": "The body is not JSON: expected value at line 1 column 1",
    "bad_cursor": "This cursor is not valid. Start again without a cursor.",
    "unauthorized": "This key is not valid.",
    "not_found": f"There is no edit {EDIT_ID}.",
    "not_finished": f"{EDIT_ID} is processing and has no result yet; wait until it has ended.",
    "not_succeeded": f"{EDIT_ID} is failed and has no result.",
    "too_late": f"{EDIT_ID} has left the queue; the provider has no cancel.",
    "retry_edit:too_late": f"{EDIT_ID} did not fail; only a failed edit can be retried.",
    "get_object:gone": "This link has expired. Get the edit for a new one.",
    "get_object:not_found": "This link is not valid.",
    "receive_qubico_callback:not_found": "This callback token is not valid.",
    "receive_qubico_callback:malformed": "The body has no task.",
    "gone": f"{EDIT_ID} was deleted on 2024-12-20, when its retention ended.",
    "body_too_large": "The body is larger than 14243157 bytes.",
    "range_not_satisfiable": "The picture has 123456 bytes.",
    "idempotency_key_reused": "This Idempotency-Key was used for another request. Send a new key.",
    "tenant_queue_full": "The queue is full: 1000 edits of this tenant are waiting. Send it again later.",
    "queue_full": "The queue is full: 1000000 edits are waiting. Send it again later.",
    "unavailable": "Redis does not answer.",
    "accept_unknown": "Redis may have accepted the edit. Send it again with the same Idempotency-Key.",
    "draining": "This process is shutting down. Send the request again.",
}
"""By code; where one operation has another text, by both."""

_REFUSED: Final = {
    "image_too_large": "the picture is larger than 10485760 bytes",
    "unsupported_type": "this is a GIF, not a PNG, JPEG or WebP picture",
    "image_unreadable": "the picture cannot be opened: its pixels are damaged",
    "input_unreachable": "the address answers 404",
}
_PROBLEMS: Final[dict[str, Problem]] = {
    **{name: Problem(name.rpartition(":")[2], detail) for name, detail in _DETAILS.items()},
    **{code: errors.of_domain(InputRefused(why, code=code, pointer="/image")) for code, why in _REFUSED.items()},
    "invalid": errors.invalid(("query:colour", "unknown_field", "this call has no such parameter")),
    "create_edit:invalid": errors.invalid(("/width", "not_a_multiple", "Input should be a multiple of 8")),
}


def problem(code: str, *, path: str, operation: str) -> dict[str, Any]:
    """The body of a problem with `code` as an answer of `operation`, whose path template is `path`."""
    found = _PROBLEMS.get(f"{operation}:{code}") or _PROBLEMS[code]
    answered = errors.answer(found, path=path.format(**PATH), request_id=REQUEST_ID)
    value: dict[str, Any] = json.loads(bytes(answered.body))
    return value
