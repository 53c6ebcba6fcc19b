"""Query parameters. Unknown ones and times without a zone are refused."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from edits.models import EditStatus, read_id


def _by_comma(value: Any) -> Any:
    """Takes `a,b` and repeated parameters."""
    if not isinstance(value, list):
        return value
    return [part.strip() for item in value for part in str(item).split(",") if part.strip()]


def _as_written(value: Any) -> Any:
    """Refuses plain numbers, which may be seconds or milliseconds. A `+02:00` sent unencoded arrives as ` 02:00`."""
    if isinstance(value, str) and ":" not in value:
        raise PydanticCustomError("datetime", "write the time as 2026-01-15T09:20:11Z")
    return _UNENCODED.sub(r"\1+\2", value) if isinstance(value, str) else value


def _named_is_true(value: Any) -> Any:
    return True if value == "" else value


_UNENCODED: Final = re.compile(r"(:\d\d\S*) (\d\d:?\d\d)$")

Moment = Annotated[AwareDatetime, BeforeValidator(_as_written)]


class Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CreateQuery(Query):
    dry_run: bool = Field(default=False, description="`true`: check and price the edit; store and buy nothing.")


class ListQuery(Query):
    status: Annotated[list[EditStatus], BeforeValidator(_by_comma)] = Field(
        default=[], max_length=7, description="Comma-separated."
    )
    created_after: Moment | None = Field(default=None, description="ISO 8601 with a time zone; exclusive.")
    created_before: Moment | None = Field(default=None, description="ISO 8601 with a time zone; exclusive.")
    external_id: str | None = Field(default=None, min_length=1, max_length=128)
    ids: Annotated[list[Annotated[str, AfterValidator(read_id)]], BeforeValidator(_by_comma)] = Field(
        default=[], max_length=200, description="Up to 200, comma-separated; unknown ids are left out."
    )
    limit: int = Field(default=20, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=4096, description="`next_cursor` of the previous page.")


class ResultQuery(Query):
    redirect: bool = Field(default=True, description="`false`: answer the picture's address as JSON.")


class ReadyQuery(Query):
    verbose: Annotated[bool, BeforeValidator(_named_is_true)] = Field(
        default=False, description="Every part; needs the operator's key."
    )


class MetricsQuery(Query):
    scope: Literal["process", "cluster"] | None = Field(
        default=None, description="`cluster` metrics are the same in every process: scrape one. Default: both."
    )
