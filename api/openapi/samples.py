"""Sample values for the API's description, made from the models that make the answers."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.openapi.problems import EDIT_ID
from api.schemas import edits
from api.schemas.operations import PartView
from edits.models import CostState, EditStatus, ErrorKind, Priority, Wait

HOST: Final = "https://retouch.example.com"
ADDRESS: Final = "https://example.com/house.jpg"
LINK: Final = f"{HOST}/v1/edits/{EDIT_ID}"
OBJECT: Final = f"{HOST}/v1/objects/ZKi0gv9i…/result.png"
SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ETAG: Final = f'"{SHA256}"'
AT: Final = datetime(2024, 11, 20, 2, 44, 25, tzinfo=UTC)


def edit(**changes: Any) -> edits.EditView:
    queued: dict[str, Any] = {
        "id": EDIT_ID,
        "status": EditStatus.QUEUED,
        "livemode": True,
        "tenant": "default",
        "external_id": "order-4711",
        "priority": Priority.STANDARD,
        "attempt": 1,
        "created_at": AT,
        "updated_at": AT,
        "finished_at": None,
        "input": edits.InputView(
            prompt="make the sky stormy", image=ADDRESS, width=None, height=None, steps=28, seed=184467
        ),
        "waiting": edits.WaitingView(for_=Wait.RATE_LIMIT, since=AT),
        "provider": None,
        "result": None,
        "error": None,
        "cost": edits.CostView(units=200_000, usd="0.02", state=CostState.RESERVED),
        "metadata": {"room": "7"},
        "links": edits.LinksView(
            self_=LINK, result=f"{LINK}/result", timeline=f"{LINK}/timeline", cancel=f"{LINK}/cancel"
        ),
    }
    return edits.EditView(**queued | changes)


def ended(status: EditStatus, *, provider: str | None, cost: CostState, **changes: Any) -> edits.EditView:
    end = AT + timedelta(seconds=31)
    task = "5f6ff1f7-1a5e-4a94-9a27-0f0a7d0f6b62"
    return edit(
        status=status,
        updated_at=end,
        finished_at=end,
        waiting=None,
        provider=provider and edits.ProviderView(task_id=task, status=provider, tasks_bought=1),
        cost=edits.CostView(units=200_000, usd="0.02", state=cost),
        **changes,
    )


RESULT: Final = edits.ResultView(
    url=f"{LINK}/result",
    download_url=OBJECT,
    download_expires_at=AT + timedelta(hours=1),
    content_type="image/png",
    bytes=123_456,
    sha256=SHA256,
    width=1024,
    height=1024,
)
SUCCEEDED: Final = ended(EditStatus.SUCCEEDED, provider="completed", cost=CostState.CHARGED, result=RESULT)
FAILED: Final = ended(
    EditStatus.FAILED,
    provider="failed",
    cost=CostState.UNKNOWN,
    error=edits.ErrorView(
        kind=ErrorKind.PROVIDER_FAILED,
        message="the task failed at the provider: out of memory",
        retryable=True,
        provider_code=10000,
    ),
)
LISTED: Final = SUCCEEDED.model_copy(
    update={"result": RESULT.model_copy(update={"download_url": None, "download_expires_at": None})}
)
DRY_RUN: Final = edits.DryRunView(
    livemode=True,
    external_id=None,
    priority=Priority.STANDARD,
    input=edits.DryInputView(prompt="make the sky stormy", image=ADDRESS, width=None, height=None, steps=28, seed=-1),
    queue=edits.QueueView(position=3, eta_seconds=edits.EtaView(p50=31, p90=58)),
    cost=edits.CostView(units=200_000, usd="0.02", state=CostState.RESERVED),
    metadata={},
)
PARTS: Final = {name: PartView(status="ok") for name in ("redis", "storage", "process")} | {
    "provider": PartView(status="degraded", detail="provider_account: insufficient credits")
}
TIMELINE: Final = [
    edits.EventView(seq=1, at=AT, type="accepted", wait=None, duration_ms=0, data={}),
    edits.EventView(
        seq=2,
        at=AT + timedelta(seconds=1),
        type="submitting",
        wait=Wait.RATE_LIMIT,
        duration_ms=1000,
        data={"attempt": 1},
    ),
]
