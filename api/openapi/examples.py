"""Examples for the API's description, by operation, made by the code that makes the real responses."""

from datetime import timedelta
from typing import Any, Final

from pydantic_core import to_jsonable_python

from api import errors
from api.openapi import samples
from api.openapi.problems import PATH, REQUEST_ID, problem
from api.schemas.edits import AddressView, PageView, WindowView
from api.schemas.operations import HealthView, PartView, ReadyView

Examples = dict[str, dict[str, Any]]
"""OpenAPI's examples: by name, each with a summary and a value."""


def _of(summary: str, value: object) -> dict[str, Any]:
    return {"summary": summary, "value": to_jsonable_python(value)}


_BODY: Final = {"prompt": "make the sky stormy", "image": samples.ADDRESS}
_OPTIONAL: Final = {
    "image_fetch": "copy", "width": 1024, "height": 768, "steps": 28, "seed": 42, "priority": "interactive",
    "expires_in": 3600, "external_id": "order-4711", "metadata": {"room": "7"},
}  # fmt: skip
_PIXEL: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGOosPkPAALjAbTcpxbPAAAAAElFTkSuQmCC"
)
_PAGE: Final = PageView(
    data=[samples.LISTED], next_cursor=None, window=WindowView(from_=samples.AT - timedelta(days=2))
)
_PARTS: Final = {name: PartView(status="ok") for name in ("redis", "storage", "process")} | {
    "provider": PartView(status="degraded", detail="provider_account: insufficient credits")
}
_METRICS: Final = (
    "# HELP retouch_edits_accepted_total Edits accepted.\n"
    "# TYPE retouch_edits_accepted_total counter\n"
    "retouch_edits_accepted_total 4711.0\n"
)
_EXAMPLES: Final[dict[str, Examples]] = {
    "create_edit:application/json": {
        "address": _of("A picture by address", _BODY),
        "whole": _of("Every field", _BODY | _OPTIONAL),
        "data": _of("A picture as a data URI", _BODY | {"image": _PIXEL}),
    },
    "create_edit:multipart/form-data": {
        "file": _of(
            "A picture as a file (`@` as in curl)", _BODY | {"image": "@house.jpg", "external_id": "order-4711"}
        )
    },
    "create_edit:202": {"queued": _of("Accepted", samples.QUEUED)},
    "create_edit:200": {
        "succeeded": _of("With `Prefer: wait`, ended", samples.SUCCEEDED),
        "dry_run": _of("With `?dry_run=true`", samples.DRY_RUN),
    },
    "list_edits:200": {"page": _of("The last page", _PAGE)},
    "get_edit:200": {
        "succeeded": _of("Succeeded", samples.SUCCEEDED),
        "failed": _of("Failed: `error` says why", samples.FAILED),
        "queued": _of("Queued: `waiting` says why", samples.QUEUED),
    },
    "get_edit_timeline:200": {"began": _of("An edit just submitted", samples.TIMELINE)},
    "cancel_edit:200": {"canceled": _of("Canceled", samples.CANCELED)},
    "retry_edit:202": {"again": _of("Queued again", samples.RETRIED)},
    "receive_qubico_callback:application/json": {
        "ended": _of("A task that ended", {"data": {"task_id": samples.TASK_ID, "status": "completed"}})
    },
    "is_alive:200": {"alive": _of("Alive", HealthView())},
    "is_ready:200": {
        "ready": _of("Ready", ReadyView(status="ok")),
        "verbose": _of("With `?verbose`", ReadyView(status="degraded", parts=_PARTS)),
    },
    "is_ready:503": {"down": _of("Not ready", ReadyView(status="down"))},
    "get_metrics:200": {"text": _of("One counter", _METRICS)},
    "image": {"bytes": _of("The bytes of the picture", "\x89PNG…")},
    "application/json": {"address": _of("With `?redirect=false`", AddressView(**samples.OBJECT._asdict()))},
}
"""Bodies by operation and content type, responses by operation and status; those of pictures by their content type."""

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


def complete(path: str, operation: dict[str, Any]) -> None:
    """Adds examples to an operation: its parameters, body, responses and headers."""
    name, tag = operation["operationId"], operation["tags"][0]
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            parameter["example"] = PATH[parameter["name"]]
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        body["examples"] = _EXAMPLES[f"{name}:{kind}"]
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items():
            if kind == errors.MEDIA_TYPE:
                content["examples"] = {
                    code: _of(errors.CODES[code].title, problem(code, path=path, operation=name))
                    for code in response["x-codes"]
                }
            else:
                general = "image" if kind.startswith("image/") else kind
                content["examples"] = _EXAMPLES.get(f"{name}:{status}") or _EXAMPLES[general]
        headers = {"Request-Id": REQUEST_ID}
        for key in (f"{tag}:{status}", status, f"{name}:{status}"):
            headers |= _HEADERS.get(key, {})
        response["headers"] = {
            header: {"schema": {"type": "string"}, "example": value} for header, value in headers.items()
        }
