"""Models of API answers, only the fields used here; unknown fields and values are accepted."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field, model_validator

ENDED = frozenset({"succeeded", "failed", "canceled"})


def _at(*path: str, default: Any = None) -> Any:
    """A field within objects that may be missing or null."""
    return Field(default, validation_alias=AliasPath(*path))


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Answer(Shown):
    """An answer that `--json` prints as the API sent it: `raw`."""

    raw: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _with_raw(cls, sent: Any) -> Any:
        return {**sent, "raw": sent} if isinstance(sent, dict) else sent


class Result(Shown):
    url: str
    content_type: str
    bytes: int
    sha256: str


class Failure(Shown):
    kind: str
    message: str
    retryable: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class Edit(Answer):
    id: str
    status: str
    livemode: bool = True
    created_at: datetime
    finished_at: datetime | None = None
    prompt: str = _at("input", "prompt", default="")
    waiting_for: str | None = _at("waiting", "for")
    waiting_since: datetime | None = _at("waiting", "since")
    result: Result | None = None
    error: Failure | None = None
    usd: Decimal = _at("cost", "usd", default=Decimal(0))
    cost_state: str = _at("cost", "state", default="")

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def took(self) -> timedelta | None:
        return self.finished_at - self.created_at if self.finished_at else None

    @property
    def outcome(self) -> str:
        return f"{self.id} {self.status}" + (f": {self.error}" if self.error else "")


class Page(Shown):
    data: list[Edit]


class Price(Answer):
    livemode: bool = True
    usd: Decimal = _at("cost", "usd", default=Decimal(0))
    median: timedelta | None = _at("queue", "eta_seconds", "p50")
    latest: timedelta | None = _at("queue", "eta_seconds", "p90")


class Event(Shown):
    """`wait` names what the `duration_ms` before it were spent on."""

    type: str
    wait: str | None = None
    duration_ms: int = 0


class FieldProblem(Shown):
    pointer: str = ""
    message: str = ""


class Problem(Shown):
    title: str
    detail: str = ""
    errors: tuple[FieldProblem, ...] = ()

    def __str__(self) -> str:
        said = f"{self.title}: {self.detail}" if self.detail else self.title
        faults = [f"{error.pointer}: {error.message}" for error in self.errors]
        return "\n".join([said, *(f"  {fault}" for fault in faults if fault not in said)])
