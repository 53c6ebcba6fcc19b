"""What an edit is: its statuses, waits and kinds of error, and the frozen record of one edit. Nothing here does I/O."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from ulid import ULID

_ID: Final = re.compile("edit_[0-6][0-9A-HJKMNP-TV-Z]{25}")  # a ULID from 7 on may be after the year 9999
UNITS_PER_USD = 10_000_000  # provider units in a dollar, by two vendor pages that show a price in both (2026-11)
PRICE_UNITS = 200_000  # one Kontext task, 0.02 USD (vendor's example, 2025-06), until a task shows its price


class Step(StrEnum):
    """A step of the work on edits: each has its queue and, but for `sweep`, its due-set."""

    SUBMIT = "submit"
    POLL = "poll"
    STORE = "store"
    ADOPT = "adopt"
    SWEEP = "sweep"


class EditStatus(StrEnum):
    QUEUED = "queued"  # accepted, in the fair queue, costs nothing yet
    SUBMITTING = "submitting"  # the intent to buy is written; a create may be on its way, or its task is searched for
    PROCESSING = "processing"  # the provider has the task
    STORING = "storing"  # the task is completed, its file is being copied
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        return self in FINAL


DEFAULT_STEPS: Final = 28
FINAL = frozenset({EditStatus.SUCCEEDED, EditStatus.FAILED, EditStatus.CANCELED})


class Wait(StrEnum):
    """What an edit waits for. Every moment of its life has one of these names."""

    FAIR_SHARE = "fair_share"  # others are ahead in the queue
    RATE_LIMIT = "rate_limit"  # creates a second are used up
    IN_FLIGHT_CAP = "in_flight_cap"  # the most tasks allowed are at the provider
    COOLDOWN = "cooldown"  # the provider throttled us, or could not be reached
    STORAGE = "storage"  # our storage cannot be used
    PROVIDER_ACCOUNT = "provider_account"  # key, balance or plan refused: an operator must act
    SUBMIT = "submit"  # the create is being sent
    ANSWER_LOST = "answer_lost"  # the create's answer was lost; its task is searched for
    PROVIDER_QUEUE = "provider_queue"
    PROVIDER_RUN = "provider_run"
    NOTICE = "notice"  # the provider is done, the task is not read yet
    COPY = "copy"  # the file is copied into storage
    PAUSED = "paused"
    RESTORED = "restored"  # Redis may lack its last writes; purchases since are searched for


class ErrorKind(StrEnum):
    REJECTED = "rejected"
    MODERATED = "moderated"
    PROVIDER_FAILED = "provider_failed"
    PROVIDER_TIMEOUT = "provider_timeout"
    RESULT_UNAVAILABLE = "result_unavailable"
    RESULT_INVALID = "result_invalid"
    SUBMISSION_UNKNOWN = "submission_unknown"
    BUDGET_EXHAUSTED = "budget_exhausted"
    EXPIRED = "expired"
    INTERNAL = "internal"


class Priority(StrEnum):
    INTERACTIVE = "interactive"
    STANDARD = "standard"
    BULK = "bulk"


class CostState(StrEnum):
    RESERVED = "reserved"  # nothing bought yet
    CHARGED = "charged"  # the provider has a task for it
    RELEASED = "released"  # ended without a purchase
    UNKNOWN = "unknown"  # a create's answer was lost, or the provider does not say whether a failure is charged


class Frozen(BaseModel):
    # Their errors may be logged with a traceback; their values are prompts and addresses.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class EditInput(Frozen):
    """The input for the provider. Exactly one of `image` (an address) and `upload` (our copy's file name) is set."""

    prompt: str
    image: str | None = None
    upload: str | None = None
    width: int | None = None
    height: int | None = None
    steps: int = DEFAULT_STEPS
    seed: int


class EditError(Frozen):
    kind: ErrorKind
    message: str
    retryable: bool
    provider_code: int | None = None


class EditResult(Frozen):
    key: str
    content_type: str
    bytes: int
    sha256: str
    width: int
    height: int


class Edit(Frozen):
    """The record of one edit as it stands."""

    id: str
    tenant: str
    livemode: bool
    status: EditStatus = EditStatus.QUEUED
    attempt: int = 1
    priority: Priority = Priority.STANDARD
    external_id: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    input: EditInput
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    waiting_for: Wait | None = None
    waiting_since: datetime | None = None
    task_id: str | None = None
    task_status: str | None = None
    tasks_bought: int = 0
    other_task_ids: tuple[str, ...] = ()  # also bought for it, not used
    result: EditResult | None = None
    error: EditError | None = None
    cost_units: int = PRICE_UNITS
    cost_state: CostState = CostState.RESERVED


class TimelineEvent(Frozen):
    """`wait` names the wait of the `duration_ms` before this event; all durations add up to the edit's age."""

    seq: int
    at: datetime
    type: str
    wait: Wait | None
    duration_ms: int
    data: dict[str, Any]


def new_id() -> str:
    return f"edit_{ULID()}"


def made_at(edit_id: str) -> datetime:
    """When the API made this id, by the clock of its host."""
    return ULID.from_str(edit_id.partition("_")[2]).datetime


def is_id(text: str) -> bool:
    """Whether `text` has the form of an edit's id as it is stored (it need not exist)."""
    return _ID.fullmatch(text) is not None


def read_id(text: str) -> str:
    """An edit's id as it is stored, with its ULID in capitals, from any letter case. Other texts are unchanged."""
    stored = f"edit_{text[5:].upper()}"
    return stored if text[:5].lower() == "edit_" and is_id(stored) else text


def from_ms(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
