"""Models of API answers, only the fields used here; unknown fields and values are accepted."""

from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cli.errors import WorkFailed

NOT_OURS = "unexpected answer; check that RETOUCH_CLIENT__URL is a Retouch API"
ENDED = frozenset({"succeeded", "failed", "canceled"})


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


Seen = TypeVar("Seen", bound=Shown)


class Waiting(Shown):
    name: str = Field(alias="for")
    since: datetime | None = None


class Input(Shown):
    prompt: str = ""
    image: str = ""


class Provider(Shown):
    task_id: str | None = None
    status: str | None = None
    tasks_bought: int = 0


class Result(Shown):
    url: str
    content_type: str
    bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None


class Failure(Shown):
    kind: str
    message: str
    retryable: bool = False


class Cost(Shown):
    usd: str = "0"
    state: str = ""


class Edit(Shown):
    id: str
    status: str
    livemode: bool = True
    attempt: int = 1
    created_at: datetime
    finished_at: datetime | None = None
    input: Input = Input()
    waiting: Waiting | None = None
    provider: Provider | None = None
    result: Result | None = None
    error: Failure | None = None
    cost: Cost = Cost()

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class Eta(Shown):
    """Seconds."""

    p50: float | None = None
    p90: float | None = None


class Queue(Shown):
    position: int | None = None
    eta_seconds: Eta | None = None


class Price(Shown):
    """The answer to a dry run."""

    livemode: bool = True
    cost: Cost = Cost()
    queue: Queue | None = None


class Event(Shown):
    """`wait` names what the `duration_ms` before it were spent on."""

    seq: int
    at: datetime
    type: str
    wait: str | None = None
    duration_ms: int = 0


class FieldProblem(Shown):
    pointer: str = ""
    message: str = ""


class Problem(Shown):
    """The body of an error answer."""

    title: str
    detail: str = ""
    code: str = ""
    errors: tuple[FieldProblem, ...] = ()

    def __str__(self) -> str:
        said = f"{self.title}: {self.detail}" if self.detail else self.title
        faults = [f"{error.pointer}: {error.message}" for error in self.errors]
        return "\n".join([said, *(f"  {fault}" for fault in faults if fault not in said)])


def edit(raw: Any) -> Edit:
    return _read(Edit, raw)


def price(raw: Any) -> Price:
    return _read(Price, raw)


def timeline(raw: Any) -> list[Event]:
    if not isinstance(raw, list):
        raise WorkFailed(NOT_OURS)
    return [_read(Event, event) for event in raw]


def _read(model: type[Seen], raw: Any) -> Seen:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise WorkFailed(NOT_OURS) from error
