"""Edits as the API shows them. Every key is always present; null: does not apply."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from edits.models import CostState, EditStatus, ErrorKind, Priority, Wait


class View(BaseModel, frozen=True, populate_by_name=True, serialize_by_alias=True):
    pass


class DryInputView(View):
    prompt: str
    image: str | None = Field(description="The address as sent; null if the picture would be stored.")
    width: int | None
    height: int | None
    steps: int
    seed: int = Field(description="-1: drawn on acceptance.")


class InputView(DryInputView):
    image: str = Field(description="The address as sent; for an upload, a link to `…/input`.")
    seed: int


class WaitingView(View):
    for_: Wait = Field(alias="for")
    since: datetime | None


class ProviderView(View):
    task_id: str
    status: str | None
    tasks_bought: int
    other_task_ids: list[str] = Field(
        default_factory=list, description="Other tasks bought for this edit; it does not use them."
    )


class ResultView(View):
    url: str
    download_url: str | None = Field(description="Signed: needs no key. New at each read; null in lists.")
    download_expires_at: datetime | None
    content_type: str
    bytes: int
    sha256: str
    width: int
    height: int


class ErrorView(View):
    kind: ErrorKind
    message: str
    retryable: bool
    provider_code: int | None


class CostView(View):
    units: int
    usd: str = Field(examples=["0.02"])
    state: CostState


class LinksView(View):
    self_: str = Field(alias="self")
    result: str
    timeline: str
    cancel: str


class EditView(View):
    id: str = Field(examples=["edit_01JD3Q9V6T0000000000000000"])
    status: EditStatus
    livemode: bool = Field(description="false: made by the sandbox; nothing was bought.")
    tenant: str
    external_id: str | None
    priority: Priority
    attempt: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    input: InputView
    waiting: WaitingView | None
    queue: None = None
    provider: ProviderView | None = Field(description="null until the provider has a task for the edit.")
    result: ResultView | None
    error: ErrorView | None
    cost: CostView
    batch_id: None = None
    metadata: dict[str, str]
    links: LinksView


class WindowView(View):
    from_: datetime = Field(
        alias="from",
        description="The list has edits that were accepted or ended since then, and all that have not ended."
        " Older edits can still be fetched by id.",
    )


class EtaView(View):
    p50: int = Field(description="Seconds to the result; half of the edits take no longer.")
    p90: int = Field(description="Seconds; nine of ten edits take no longer.")


class QueueView(View):
    position: int
    eta_seconds: EtaView | None = Field(description="null: too few samples, or submission is paused.")


class DryRunView(View):
    """An edit checked but not accepted, with the field names of an edit."""

    dry_run: Literal[True] = True
    livemode: bool
    external_id: str | None
    priority: Priority
    input: DryInputView
    queue: QueueView
    cost: CostView
    metadata: dict[str, str]


class PageView(View):
    data: list[EditView]
    next_cursor: str | None
    window: WindowView


class EventView(View, from_attributes=True):
    seq: int
    at: datetime
    type: str
    wait: Wait | None = Field(description="The reason for the `duration_ms` before this event.")
    duration_ms: int
    data: dict[str, Any]


class AddressView(View):
    url: str
    expires_at: datetime
