"""Examples for the API's description. The models and errors that answer make them, so that they cannot differ."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel

from api import errors
from api.openapi.problems import EDIT_ID, PATH, REQUEST_ID, problem
from api.schemas import bodies
from edits.models import CostState, EditStatus, ErrorKind, Priority, Wait

Examples = dict[str, dict[str, Any]]
"""As OpenAPI has them: by a name, each with a summary and a value."""

PICTURE: Final = "\x89PNG…"

_HOST: Final = "https://retouch.example.com"
_ADDRESS: Final = "https://example.com/house.jpg"
_LINK: Final = f"{_HOST}/v1/edits/{EDIT_ID}"
_OBJECT: Final = f"{_HOST}/v1/objects/ZKi0gv9i…/result.png"
_SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_ETAG: Final = f'"{_SHA256}"'
_AT: Final = datetime(2024, 11, 20, 2, 44, 25, tzinfo=UTC)


def _edit(**changes: Any) -> bodies.EditView:
    queued: dict[str, Any] = {
        "id": EDIT_ID,
        "status": EditStatus.QUEUED,
        "livemode": True,
        "tenant": "default",
        "external_id": "order-4711",
        "priority": Priority.STANDARD,
        "attempt": 1,
        "created_at": _AT,
        "updated_at": _AT,
        "finished_at": None,
        "input": bodies.InputView(
            prompt="make the sky stormy", image=_ADDRESS, width=None, height=None, steps=28, seed=184467
        ),
        "waiting": bodies.WaitingView(for_=Wait.RATE_LIMIT, since=_AT),
        "provider": None,
        "result": None,
        "error": None,
        "cost": bodies.CostView(units=200_000, usd="0.02", state=CostState.RESERVED),
        "metadata": {"room": "7"},
        "links": bodies.LinksView(
            self_=_LINK, result=f"{_LINK}/result", timeline=f"{_LINK}/timeline", cancel=f"{_LINK}/cancel"
        ),
    }
    return bodies.EditView(**queued | changes)


def _ended(status: EditStatus, *, provider: str | None, cost: CostState, **changes: Any) -> bodies.EditView:
    end = _AT + timedelta(seconds=31)
    task = "5f6ff1f7-1a5e-4a94-9a27-0f0a7d0f6b62"
    return _edit(
        status=status,
        updated_at=end,
        finished_at=end,
        waiting=None,
        provider=provider and bodies.ProviderView(task_id=task, status=provider, tasks_bought=1),
        cost=bodies.CostView(units=200_000, usd="0.02", state=cost),
        **changes,
    )


_RESULT: Final = bodies.ResultView(
    url=f"{_LINK}/result",
    download_url=_OBJECT,
    download_expires_at=_AT + timedelta(hours=1),
    content_type="image/png",
    bytes=123_456,
    sha256=_SHA256,
    width=1024,
    height=1024,
)
_SUCCEEDED: Final = _ended(EditStatus.SUCCEEDED, provider="completed", cost=CostState.CHARGED, result=_RESULT)
_FAILED: Final = _ended(
    EditStatus.FAILED,
    provider="failed",
    cost=CostState.UNKNOWN,
    error=bodies.ErrorView(
        kind=ErrorKind.PROVIDER_FAILED,
        message="the task failed at the provider: out of memory",
        retryable=True,
        provider_code=10000,
    ),
)
_LISTED: Final = _SUCCEEDED.model_copy(
    update={"result": _RESULT.model_copy(update={"download_url": None, "download_expires_at": None})}
)
_DRY_RUN: Final = bodies.DryRunView(
    livemode=True,
    external_id=None,
    priority=Priority.STANDARD,
    input=bodies.DryInputView(prompt="make the sky stormy", image=_ADDRESS, width=None, height=None, steps=28, seed=-1),
    queue=bodies.QueueView(position=3, eta_seconds=bodies.EtaView(p50=31, p90=58)),
    cost=bodies.CostView(units=200_000, usd="0.02", state=CostState.RESERVED),
    metadata={},
)
_PARTS: Final = {name: bodies.PartView(status="ok") for name in ("redis", "storage", "process")} | {
    "provider": bodies.PartView(status="degraded", detail="provider_account: insufficient credits")
}
_TIMELINE: Final = [
    bodies.EventView(seq=1, at=_AT, type="accepted", wait=None, duration_ms=0, data={}),
    bodies.EventView(
        seq=2,
        at=_AT + timedelta(seconds=1),
        type="submitting",
        wait=Wait.RATE_LIMIT,
        duration_ms=1000,
        data={"attempt": 1},
    ),
]


def _of(summary: str, value: object) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    elif isinstance(value, list):
        value = [item.model_dump(mode="json") for item in value]
    return {"summary": summary, "value": value}


_BODY: Final = {"prompt": "make the sky stormy", "image": _ADDRESS}
_PIXEL: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGOosPkPAALjAbTcpxbPAAAAAElFTkSuQmCC"
)
ASKED: Final[dict[tuple[str, str], Examples]] = {
    ("create_edit", "application/json"): {
        "address": _of("A picture by its address", _BODY),
        "whole": _of(
            "Every field",
            {
                **_BODY,
                "image_fetch": "copy",
                "width": 1024,
                "height": 768,
                "steps": 28,
                "seed": 42,
                "priority": "interactive",
                "expires_in": 3600,
                "external_id": "order-4711",
                "metadata": {"room": "7"},
            },
        ),
        "data": _of("A picture in the body itself", {"prompt": "make the sky stormy", "image": _PIXEL}),
    },
    ("create_edit", "multipart/form-data"): {
        "file": _of(
            "A picture as a file (`@` as in curl)",
            {"prompt": "make the sky stormy", "image": "@house.jpg", "external_id": "order-4711"},
        )
    },
    ("receive_qubico_callback", "application/json"): {
        "ended": _of(
            "A task that ended",
            {
                "timestamp": 1732070696,
                "data": {"task_id": "5f6ff1f7-1a5e-4a94-9a27-0f0a7d0f6b62", "status": "completed"},
            },
        )
    },
}
"""Bodies, by operation and type of content."""

_PICTURES: Final = {"bytes": _of("The bytes of the picture", PICTURE)}
_WHERE: Final = {
    "address": _of("With `?redirect=false`", bodies.AddressView(url=_OBJECT, expires_at=_AT + timedelta(hours=1)))
}
_METRICS: Final = (
    "# HELP retouch_edits_accepted_total Edits accepted.\n"
    "# TYPE retouch_edits_accepted_total counter\n"
    "retouch_edits_accepted_total 4711.0\n"
)
ANSWERED: Final[dict[tuple[str, str], Examples]] = {
    ("create_edit", "202"): {"queued": _of("Accepted", _edit())},
    ("create_edit", "200"): {
        "succeeded": _of("With `Prefer: wait`, ended", _SUCCEEDED),
        "dry_run": _of("With `?dry_run=true`", _DRY_RUN),
    },
    ("list_edits", "200"): {
        "page": _of(
            "The last page",
            bodies.PageView(data=[_LISTED], next_cursor=None, window=bodies.WindowView(from_=_AT - timedelta(days=2))),
        )
    },
    ("get_edit", "200"): {
        "succeeded": _of("Succeeded", _SUCCEEDED),
        "failed": _of("Failed: `error` says why", _FAILED),
        "queued": _of("Still to come: `waiting` says why", _edit()),
    },
    ("get_edit_timeline", "200"): {"began": _of("An edit that has just begun", _TIMELINE)},
    ("cancel_edit", "200"): {
        "canceled": _of("Canceled", _ended(EditStatus.CANCELED, provider=None, cost=CostState.RELEASED))
    },
    ("retry_edit", "202"): {"again": _of("On its way again", _edit(attempt=2))},
    ("is_alive", "200"): {"alive": _of("It lives", bodies.HealthView())},
    ("is_ready", "200"): {
        "ready": _of("It can accept", bodies.ReadyView(status="ok")),
        "verbose": _of("With `?verbose`", bodies.ReadyView(status="degraded", parts=_PARTS)),
    },
    ("is_ready", "503"): {"down": _of("It cannot accept", bodies.ReadyView(status="down"))},
    ("get_metrics", "200"): {"text": _of("One of the figures", _METRICS)},
}
"""Answers that are no problems and no pictures, by operation and status."""

HEADERS: Final[dict[tuple[str, str], dict[str, str]]] = {
    ("create_edit", "202"): {"Location": _LINK, "Retry-After": "2"},
    ("create_edit", "200"): {"Location": _LINK, "Preference-Applied": "wait=50"},
    ("get_edit", "200"): {"Retry-After": "2"},
    ("retry_edit", "202"): {"Location": _LINK, "Retry-After": "2"},
}
"""Headers that a caller may want, by operation and status. Those of pictures and problems follow from the status."""

_BY_STATUS: Final = {
    "206": {"Content-Range": "bytes 0-1023/123456", "ETag": _ETAG},
    "304": {"ETag": _ETAG},
    "307": {"Location": "https://bucket.s3.amazonaws.com/edits/2024/11/20/…/result.png?X-Amz-Signature=…"},
    "401": {"WWW-Authenticate": 'Bearer realm="retouch"'},
    "416": {"Content-Range": "bytes */123456"},
    "503": {"Retry-After": "2"},
}
_OF_PICTURES: Final = {"ETag": _ETAG, "Repr-Digest": "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"}


def complete(path: str, operation: dict[str, Any]) -> None:
    """Examples into one described operation: its parameters, its body, each answer and its headers."""
    name = operation["operationId"]
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            parameter["example"] = PATH["{" + parameter["name"] + "}"]
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        body["examples"] = ASKED[name, kind]
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items():
            content["examples"] = (
                {
                    code: _of(errors.CODES[code].title, problem(code, path=path, operation=operation))
                    for code in response["x-codes"]
                }
                if kind == errors.MEDIA_TYPE
                else _answered(name, status, kind)
            )
        of_picture = _OF_PICTURES if "pictures" in operation["tags"] and status == "200" else {}
        headers = {"Request-Id": REQUEST_ID} | of_picture | _BY_STATUS.get(status, {}) | HEADERS.get((name, status), {})
        response["headers"] = {
            header: {"schema": {"type": "string"}, "example": value} for header, value in headers.items()
        }


def _answered(operation: str, status: str, kind: str) -> Examples:
    if kind.startswith("image/"):
        return _PICTURES
    return ANSWERED.get((operation, status)) or _WHERE
