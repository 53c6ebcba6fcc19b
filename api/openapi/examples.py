"""Examples for the API's description, by operation, made by the code that makes the real responses."""

from typing import Any, Final

from pydantic_core import to_jsonable_python

from api import errors
from api.errors import Problem
from api.openapi import samples
from api.openapi.samples import EDIT_ID
from api.schemas.edits import AddressView, PageView, WindowView
from api.schemas.operations import HealthView, PartView, ReadyView
from edits.db.acceptance import reused, unknown
from edits.errors import InputRefused

_BODY: Final = {"prompt": "make the sky stormy", "image": samples.ADDRESS}
_OPTIONAL: Final = {
    "image_fetch": "copy", "width": 1024, "height": 768, "steps": 28, "seed": 42, "priority": "interactive",
    "expires_in": 3600, "external_id": "order-4711", "metadata": {"room": "7"},
}  # fmt: skip
_PIXEL: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGOosPkPAALjAbTcpxbPAAAAAElFTkSuQmCC"
)
_PAGE: Final = PageView(data=[samples.LISTED], next_cursor=None, window=WindowView(from_=samples.AT))
_PARTS: Final = {name: PartView(status="ok") for name in ("redis", "storage", "process")} | {
    "provider": PartView(status="degraded", detail="provider_account: insufficient credits")
}
_METRICS: Final = (
    "# HELP retouch_edits_accepted_total Edits accepted.\n"
    "# TYPE retouch_edits_accepted_total counter\n"
    "retouch_edits_accepted_total 4711.0\n"
)
_FORM: Final = _BODY | {"image": "@house.jpg", "external_id": "order-4711"}
_TASK: Final = {"data": {"task_id": samples.TASK_ID, "status": "completed"}}
_EXAMPLES: Final[tuple[tuple[str, str, str, object], ...]] = (
    ("create_edit:application/json", "address", "A picture by address", _BODY),
    ("create_edit:application/json", "whole", "Every field", _BODY | _OPTIONAL),
    ("create_edit:application/json", "data", "A picture as a data URI", _BODY | {"image": _PIXEL}),
    ("create_edit:multipart/form-data", "file", "A picture as a file (`@` as in curl)", _FORM),
    ("create_edit:202", "queued", "Accepted", samples.QUEUED),
    ("create_edit:200", "succeeded", "With `Prefer: wait`, ended", samples.SUCCEEDED),
    ("create_edit:200", "dry_run", "With `?dry_run=true`", samples.DRY_RUN),
    ("list_edits:200", "page", "The last page", _PAGE),
    ("get_edit:200", "succeeded", "Succeeded", samples.SUCCEEDED),
    ("get_edit:200", "failed", "Failed: `error` says why", samples.FAILED),
    ("get_edit:200", "queued", "Queued: `waiting` says why", samples.QUEUED),
    ("get_edit_timeline:200", "began", "An edit just submitted", samples.TIMELINE),
    ("cancel_edit:200", "canceled", "Canceled", samples.CANCELED),
    ("retry_edit:202", "again", "Queued again", samples.RETRIED),
    ("receive_qubico_callback:application/json", "ended", "A task that ended", _TASK),
    ("is_alive:200", "alive", "Alive", HealthView()),
    ("is_ready:200", "ready", "Ready", ReadyView(status="ok")),
    ("is_ready:200", "verbose", "With `?verbose`", ReadyView(status="degraded", parts=_PARTS)),
    ("is_ready:503", "down", "Not ready", ReadyView(status="down")),
    ("get_metrics:200", "text", "One counter", _METRICS),
    ("pictures:image", "bytes", "The bytes of the picture", "\x89PNG…"),
    ("pictures:application", "address", "With `?redirect=false`", AddressView(**samples.OBJECT._asdict())),
)
"""Each with its place, name and summary. The place is an operation with a content type of its body or a status.

Pictures have theirs in common, by the content type of the response.
"""

_HEADERS: Final[dict[str, dict[str, str]]] = {
    "pictures:200": {"ETag": samples.ETAG, "Repr-Digest": "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"},
    "202": {"Location": samples.LINK, "Retry-After": "2"},
    "206": {"Content-Range": "bytes 0-1023/123456", "ETag": samples.ETAG},
    "304": {"ETag": samples.ETAG},
    "307": {"Location": "https://bucket.s3.amazonaws.com/edits/2024/11/20/…/result.png?X-Amz-Signature=…"},
    "401": {"WWW-Authenticate": 'Bearer realm="retouch"'},
    "416": {"Content-Range": "bytes */123456"},
    "503": {"Retry-After": "2"},
    "create_edit:200": {"Location": samples.LINK, "Preference-Applied": "wait=50"},
    "get_edit:200": {"Retry-After": "2"},
}
"""Response headers by status, with the tag or the operation where they have more."""


_DETAILS: Final = {
    "malformed": "The body is not JSON: expected value at line 1 column 1",
    "bad_cursor": "This cursor is not valid. Start again without a cursor.",
    "unauthorized": "This key is not valid.",
    "not_found": f"There is no edit {EDIT_ID}.",
    "not_finished": f"{EDIT_ID} has no result yet: it is processing. Wait until it has ended.",
    "not_succeeded": f"{EDIT_ID} has no result: its status is failed.",
    "too_late": f"{EDIT_ID} has left the queue; the provider cannot cancel a task.",
    "retry_edit:too_late": f"{EDIT_ID} did not fail; only a failed edit can be retried.",
    "get_object:gone": "This link has expired. Get the edit for a new one.",
    "get_object:not_found": "This link is not valid.",
    "receive_qubico_callback:not_found": "This callback token is not valid.",
    "receive_qubico_callback:malformed": "The body has no task.",
    "gone": f"{EDIT_ID} was deleted on 2024-12-20, when its retention ended.",
    "body_too_large": "The body is larger than 14243157 bytes.",
    "range_not_satisfiable": "The picture has 123456 bytes.",
    "idempotency_key_reused": str(reused()),
    "tenant_queue_full": "The queue is full: 1000 edits of this tenant are waiting. Try again later.",
    "queue_full": "The queue is full: 1000000 edits are waiting. Try again later.",
    "unavailable": "Redis does not answer.",
    "accept_unknown": str(unknown()),
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


def complete(path: str, operation: dict[str, Any]) -> None:
    """Adds examples to an operation: its parameters, body, responses and headers."""
    name, tag = operation["operationId"], operation["tags"][0]
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            parameter["example"] = samples.PATH[parameter["name"]]
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        body["examples"] = _at(f"{name}:{kind}")
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items():
            if kind == errors.MEDIA_TYPE:
                content["examples"] = {code: _problem(code, path, name) for code in response["x-codes"]}
            else:
                content["examples"] = _at(f"{name}:{status}") or _at(f"{tag}:{kind.partition('/')[0]}")
        headers = {"Request-Id": samples.REQUEST_ID}
        for place in (f"{tag}:{status}", status, f"{name}:{status}"):
            headers |= _HEADERS.get(place, {})
        response["headers"] = {
            header: {"schema": {"type": "string"}, "example": value} for header, value in headers.items()
        }


def _at(place: str) -> dict[str, Any]:
    """OpenAPI's examples: by name, each with a summary and a value."""
    return {name: _example(summary, value) for where, name, summary, value in _EXAMPLES if where == place}


def _problem(code: str, path: str, operation: str) -> dict[str, Any]:
    """`path` is the template of the operation's path."""
    found = _PROBLEMS.get(f"{operation}:{code}") or _PROBLEMS[code]
    shown = errors.view(found, path=path.format(**samples.PATH), request_id=samples.REQUEST_ID)
    return _example(shown.title, shown)


def _example(summary: str, value: object) -> dict[str, Any]:
    return {"summary": summary, "value": to_jsonable_python(value)}
