"""Sample values for the API's description, made from records by the code that makes answers."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.openapi.problems import EDIT_ID
from api.schemas import edits
from api.schemas.operations import PartView
from api.schemas.views import edit_view
from edits.models import CostState, Edit, EditError, EditInput, EditResult, EditStatus, ErrorKind, Priority, Wait
from edits.storage.store import Address

HOST: Final = "https://retouch.example.com"
ADDRESS: Final = "https://example.com/house.jpg"
LINK: Final = f"{HOST}/v1/edits/{EDIT_ID}"
OBJECT: Final = f"{HOST}/v1/objects/ZKi0gv9i…/result.png"
SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ETAG: Final = f'"{SHA256}"'
TASK_ID: Final = "5f6ff1f7-1a5e-4a94-9a27-0f0a7d0f6b62"
AT: Final = datetime(2024, 11, 20, 2, 44, 25, tzinfo=UTC)


def edit(*, address: Address | None = None, **changes: Any) -> edits.EditView:
    queued: dict[str, Any] = {
        "id": EDIT_ID,
        "livemode": True,
        "tenant": "default",
        "external_id": "order-4711",
        "created_at": AT,
        "updated_at": AT,
        "input": EditInput(prompt="make the sky stormy", image=ADDRESS, seed=184467),
        "waiting_for": Wait.RATE_LIMIT,
        "waiting_since": AT,
        "metadata": {"room": "7"},
    }
    return edit_view(Edit(**queued | changes), LINK, address)


def ended(status: EditStatus, *, cost: CostState, task: str | None = None, **changes: Any) -> edits.EditView:
    """`task`: the status of its task at the provider."""
    end = AT + timedelta(seconds=31)
    bought: dict[str, Any] = {"task_id": TASK_ID, "task_status": task, "tasks_bought": 1} if task else {}
    times: dict[str, Any] = {"updated_at": end, "finished_at": end, "waiting_for": None}
    return edit(status=status, cost_state=cost, **times, **bought, **changes)


_RESULT: Final = EditResult(
    key="result.png", content_type="image/png", bytes=123_456, sha256=SHA256, width=1024, height=1024
)
_SUCCEEDED: Final[dict[str, Any]] = {"status": EditStatus.SUCCEEDED, "cost": CostState.CHARGED, "result": _RESULT}
SUCCEEDED: Final = ended(**_SUCCEEDED, task="completed", address=Address(OBJECT, AT + timedelta(hours=1)))
LISTED: Final = ended(**_SUCCEEDED, task="completed")
FAILED: Final = ended(
    EditStatus.FAILED,
    cost=CostState.UNKNOWN,
    task="failed",
    error=EditError(
        kind=ErrorKind.PROVIDER_FAILED,
        message="the task failed at the provider: out of memory",
        retryable=True,
        provider_code=10000,
    ),
)
DRY_RUN: Final = edits.DryRunView(
    livemode=True,
    external_id=None,
    priority=Priority.STANDARD,
    input=edits.DryInputView(prompt="make the sky stormy", image=ADDRESS, width=None, height=None, steps=28, seed=-1),
    queue=edits.QueueView(position=3, eta_seconds=edits.EtaView(p50=31, p90=58)),
    cost=edit().cost,
    metadata={},
)
PARTS: Final = {name: PartView(status="ok") for name in ("redis", "storage", "process")} | {
    "provider": PartView(status="degraded", detail="provider_account: insufficient credits")
}
_SUBMITTING: Final = {"wait": Wait.RATE_LIMIT, "duration_ms": 1000, "data": {"attempt": 1}}
TIMELINE: Final = [
    edits.EventView(seq=1, at=AT, type="accepted", wait=None, duration_ms=0, data={}),
    edits.EventView(seq=2, at=AT + timedelta(seconds=1), type="submitting", **_SUBMITTING),
]
