"""What comes in and goes out over HTTP. Strict in: unknown fields, numbers in quotes and `true` for 1 are refused."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from edits.media import data_uri
from edits.models import CostState, EditStatus, ErrorKind, Priority, Wait
from edits.network import addresses

MAX_AREA = 1_048_576
MAX_SEED = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly."""

Side = Annotated[int, Field(ge=128, le=2048, multiple_of=8)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Value = Annotated[str, StringConstraints(max_length=512)]


class EditFields(BaseModel):
    """What is asked for an edit whose picture comes beside it, as a file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)] = Field(
        description="What to do with the picture; 1 to 4000 characters after trimming."
    )
    image: str | None = None
    image_fetch: Literal["provider", "copy"] = Field(
        default="provider",
        description="Who fetches an address: `provider` (it is passed on), or `copy`: we do, at once, and keep it.",
    )
    width: Side | None = Field(default=None, description="With `height`, or neither; the area is at most 1,048,576.")
    height: Side | None = Field(default=None, description="With `width`, or neither.", validate_default=True)
    steps: int = Field(default=28, ge=1, le=40)
    seed: int = Field(default=-1, ge=-1, le=MAX_SEED, description="-1: one is drawn below 2^31 and shown.")
    priority: Priority = Priority.STANDARD
    expires_in: Annotated[int, Field(ge=1, le=604_800)] | None = Field(
        default=None, description="Seconds: not submitted by then, the edit fails as `expired` and nothing is bought."
    )
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None, description="Yours; the list can be filtered by it."
    )
    metadata: Annotated[dict[Key, Value], Field(max_length=16)] = Field(default_factory=dict)

    @field_validator("height")
    @classmethod
    def _fits_the_width(cls, height: int | None, info: Any) -> int | None:
        if "width" not in info.data:  # it has a fault of its own
            return height
        width = info.data["width"]
        if (width is None) != (height is None):
            raise PydanticCustomError("missing", "width and height go together: send both or neither")
        if width and height and width * height > MAX_AREA:
            message = "width times height may be up to 1048576, this is {area}"
            raise PydanticCustomError("less_than_equal", message, {"area": width * height})
        return height


class EditRequest(EditFields):
    """One edit: a picture and what to do with it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": "make the sky stormy", "image": "https://example.com/house.jpg"}],
        },
    )

    image: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(
        description="`https://…` or `http://…`, or `data:image/png|jpeg|webp;base64,…`. A signed address must work for "
        "ten seconds after the submission: otherwise the edit fails as `expired` and nothing is bought. An uploaded "
        "picture that is not upright and opaque is normalised so, without metadata.",
        json_schema_extra={"pattern": "^\\s*([Hh][Tt][Tt][Pp][Ss]?://|[Dd][Aa][Tt][Aa]:)"},
    )

    @field_validator("image")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        fault = None if data_uri.is_data_uri(value) else addresses.fault(value)
        if fault:
            raise PydanticCustomError("address", "{fault}", {"fault": fault})
        return value


class View(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class InputView(View):
    prompt: str
    image: str = Field(description="The address as sent; an upload is shown as a link to `…/input`.")
    width: int | None
    height: int | None
    steps: int
    seed: int


class WaitingView(View):
    for_: Wait = Field(alias="for")
    since: datetime | None


class ProviderView(View):
    task_id: str
    status: str | None
    tasks_bought: int
    other_task_ids: list[str] = Field(
        default_factory=list, description="Tasks bought for this edit, too, that it does not need (any more)."
    )


class ResultView(View):
    url: str
    download_url: str | None = Field(description="Needs no key, is new at each read; null in lists.")
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
    livemode: bool = Field(description="false: done by the sandbox, nothing was bought.")
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
        description="Every edit accepted since then is listed, and older ones that have not ended or ended since then."
        " The others are still had by their id.",
    )


class DryInputView(View):
    prompt: str
    image: str | None = Field(description="The address as sent; null for a picture that would be kept here.")
    width: int | None
    height: int | None
    steps: int
    seed: int = Field(description="-1: one would be drawn.")


class EtaView(View):
    p50: int = Field(description="Seconds to the result that half of such edits would not exceed.")
    p90: int


class QueueView(View):
    position: int
    eta_seconds: EtaView | None = Field(description="null while too little is known, or nothing is submitted.")


class DryRunView(View):
    """What an edit would be. The names are those of an accepted one."""

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


class EventView(View):
    seq: int
    at: datetime
    type: str
    wait: Wait | None = Field(description="What `duration_ms` before this event were spent on.")
    duration_ms: int
    data: dict[str, Any]


class AddressView(View):
    url: str
    expires_at: datetime


class HealthView(View):
    status: Literal["ok"] = "ok"


class PartView(View):
    status: Literal["ok", "degraded", "down"]
    detail: str | None = None


class CircuitView(View):
    operation: str = Field(description="`create`, `read`, `history`, `download` or `storage`")
    since: datetime
    next_probe_at: datetime = Field(description="When one request alone tries it again; past: that is on its way.")
    cause: str = Field(description="What closed it last.")


class ReadyView(View):
    status: Literal["ok", "degraded", "down"]
    parts: dict[str, PartView] | None = Field(default=None, description="Only with `?verbose` and the operator's key.")
    circuits: list[CircuitView] | None = Field(
        default=None,
        description="What does not work now and is tried again by itself; only with `?verbose`.",
    )
