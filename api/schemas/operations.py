"""Answers to the operator's calls."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.edits import View


class HealthView(View):
    status: Literal["ok"] = "ok"


class PartView(View):
    status: Literal["ok", "degraded", "down"]
    detail: str | None = None


class CircuitView(View):
    operation: str = Field(description="`create`, `read`, `history`, `download` or `storage`")
    since: datetime
    next_probe_at: datetime = Field(
        description="When one request tests it again; in the past: that request is running."
    )
    cause: str = Field(description="The error that opened the circuit.")


class ReadyView(View):
    status: Literal["ok", "degraded", "down"]
    parts: dict[str, PartView] | None = Field(default=None, description="Only with `?verbose` and the operator's key.")
    circuits: list[CircuitView] | None = Field(
        default=None,
        description="Failing operations, retried automatically; only with `?verbose`.",
    )
