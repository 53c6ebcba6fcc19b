"""Sample values for the API's description, made from records by the code that makes answers."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.schemas import views
from api.schemas.edits import EditView
from edits.estimates import Estimate, Eta
from edits.models import CostState, Edit, EditError, EditInput, EditResult, EditStatus, ErrorKind, TimelineEvent, Wait
from edits.service import Checked
from edits.storage.store import Address

EDIT_ID: Final = "edit_01JD3Q9V6T0000000000000000"
REQUEST_ID: Final = "req_043d10d61688580070c2b5dd"
PATH: Final = {"edit_id": EDIT_ID, "token": "ZKi0gv9i…", "filename": "result.png"}  # examples of path parameters

HOST: Final = "https://retouch.example.com"
ADDRESS: Final = "https://example.com/house.jpg"
LINK: Final = f"{HOST}/v1/edits/{EDIT_ID}"
SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ETAG: Final = f'"{SHA256}"'
TASK_ID: Final = "5f6ff1f7-1a5e-4a94-9a27-0f0a7d0f6b62"
AT: Final = datetime(2024, 11, 20, 2, 44, 25, tzinfo=UTC)
OBJECT: Final = Address(f"{HOST}/v1/objects/ZKi0gv9i…/result.png", AT + timedelta(hours=1))

_QUEUED: Final = Edit(
    id=EDIT_ID,
    livemode=True,
    tenant="default",
    external_id="order-4711",
    created_at=AT,
    updated_at=AT,
    input=EditInput(prompt="make the sky stormy", image=ADDRESS, seed=184467),
    waiting_for=Wait.RATE_LIMIT,
    waiting_since=AT,
    metadata={"room": "7"},
)
_END: Final = AT + timedelta(seconds=31)
_ENDED: Final[dict[str, Any]] = {"updated_at": _END, "finished_at": _END, "waiting_for": None}
_SUCCEEDED: Final[dict[str, Any]] = _ENDED | {
    "status": EditStatus.SUCCEEDED,
    "task_id": TASK_ID,
    "task_status": "completed",
    "tasks_bought": 1,
    "cost_state": CostState.CHARGED,
    "result": EditResult(
        key="result.png", content_type="image/png", bytes=123_456, sha256=SHA256, width=1024, height=1024
    ),
}
_FAILED: Final[dict[str, Any]] = _SUCCEEDED | {
    "status": EditStatus.FAILED,
    "task_status": "failed",
    "cost_state": CostState.UNKNOWN,
    "result": None,
    "error": EditError(
        kind=ErrorKind.PROVIDER_FAILED,
        message="the task failed at the provider: out of memory",
        retryable=True,
        provider_code=10000,
    ),
}


def _edit(address: Address | None = None, **changes: Any) -> EditView:
    return views.edit_view(_QUEUED.model_copy(update=changes), LINK, address)


QUEUED: Final = _edit()
RETRIED: Final = _edit(attempt=2)
CANCELED: Final = _edit(**_ENDED, status=EditStatus.CANCELED, cost_state=CostState.RELEASED)
SUCCEEDED: Final = _edit(OBJECT, **_SUCCEEDED)
LISTED: Final = _edit(**_SUCCEEDED)
FAILED: Final = _edit(**_FAILED)
DRY_RUN: Final = views.dry_run(Checked(_QUEUED, Estimate(position=3, eta=Eta(p50=31, p90=58))), seed=-1)
TIMELINE: Final = [
    TimelineEvent(seq=1, at=AT, type="accepted", wait=None, duration_ms=0, data={}),
    TimelineEvent(
        seq=2, at=AT + timedelta(seconds=1), type="submitting", wait=Wait.RATE_LIMIT, duration_ms=1000,
        data={"attempt": 1},
    ),
]  # fmt: skip
