"""The operator's calls: liveness, readiness and counters."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BeforeValidator
from starlette.responses import PlainTextResponse, Response

from api import auth
from api.dependencies import Parts, as_json, known_parameters, parts_of
from api.openapi.document import Responses, described
from api.schemas.operations import CircuitView, HealthView, PartView, ReadyView
from edits import stats
from edits.db import checks
from edits.db.circuits import Gate
from edits.errors import QueueFull, Unavailable
from edits.models import Wait
from edits.principal import Principal
from edits.storage.backends import StorageError

STORAGE: Final = "storage"  # the one operation that is not the provider's

router = APIRouter(tags=["operations"], dependencies=[Depends(known_parameters)])

_NOT_READY: Final[Responses] = {
    503: {"model": ReadyView, "description": "It cannot: Redis is unusable, or the process is shutting down."}
}

Verbose = Annotated[
    bool,
    BeforeValidator(lambda sent: sent == "" or sent),
    Query(description="Every part; needs the operator's key."),
]
Scope = Annotated[
    Literal["process", "cluster"] | None,
    Query(description="`cluster` metrics are the same in every process: scrape one. Default: both."),
]

LOOK_FOR: Final = 1.5  # seconds for each part: the whole answer takes less than two


@router.get("/healthz", **described("is_alive", "Check liveness", HealthView, "invalid"))
async def healthz(_request: Request) -> Response:
    return as_json(HealthView())


@router.get(
    "/readyz",
    **described("is_ready", "Check readiness to accept edits", ReadyView, "unauthorized", "invalid", also=_NOT_READY),
)
async def readyz(request: Request, *, verbose: Verbose = False) -> Response:
    parts = parts_of(request)
    if verbose:
        shown, circuits = await _every_part(parts, await auth.principal(request))
    else:
        shown, circuits = {"redis": await _redis(parts), "process": _process(parts)}, None
    overall: Literal["ok", "degraded", "down"] = "ok"
    if any(part.status != "ok" for part in shown.values()):
        overall = "down" if "down" in {shown["redis"].status, shown["process"].status} else "degraded"
    view = ReadyView(status=overall, parts=shown if verbose else None, circuits=circuits)
    return as_json(view, 503, {"Retry-After": "2"}) if overall == "down" else as_json(view)


@router.get(
    "/metrics",
    **described("get_metrics", "Get counters for Prometheus", None, "unauthorized", "invalid", "unavailable"),
    response_class=PlainTextResponse,
    response_description="Prometheus text format.",
)
async def metrics(request: Request, scope: Scope = None) -> Response:
    parts = parts_of(request)
    if not auth.is_local(request, parts.settings):
        await auth.principal(request)
    try:
        async with asyncio.timeout(LOOK_FOR):
            text = await stats.render(parts.repository, scope=scope, admission=parts.admission)
    except TimeoutError as exc:
        raise Unavailable("Redis does not answer.") from exc
    return Response(text, media_type=stats.CONTENT_TYPE)


async def _every_part(parts: Parts, caller: Principal) -> tuple[dict[str, PartView], list[CircuitView] | None]:
    limits, redis, room, storage = await asyncio.gather(
        _limits(parts),
        _redis(parts),
        # A full queue is only degraded: it may have room again at any moment.
        _look(parts.service.require_room(caller, None), bad="degraded"),
        # Without storage an edit by address is still accepted, bought and followed; storing its result waits.
        _look(parts.storage.check(), bad="degraded"),
    )
    gate, circuits = limits or (None, None)
    if storage.status == "ok":  # for this process; for a worker it may not be
        storage = _retried([one for one in circuits or [] if one.operation == STORAGE])
    provider = _provider(gate, circuits or [])
    shown = {"redis": redis, "room": room, "storage": storage, "provider": provider, "process": _process(parts)}
    return shown, circuits


async def _redis(parts: Parts) -> PartView:
    return await _look(checks.require_usable(parts.repository.redis, parts.settings.namespace), bad="down")


async def _limits(parts: Parts) -> tuple[Gate, list[CircuitView]] | None:
    """None while Redis does not answer."""
    try:
        async with asyncio.timeout(LOOK_FOR):
            gate, outages = await asyncio.gather(parts.repository.gate(), parts.repository.outages())
    except (Unavailable, TimeoutError):
        return None
    return gate, [
        CircuitView(operation=name, since=outage.since, next_probe_at=outage.probe_at, cause=outage.cause)
        for name, outage in sorted(outages.items())
    ]


def _provider(gate: Gate | None, circuits: list[CircuitView]) -> PartView:
    if gate is None:
        return PartView(status="degraded", detail="unknown while Redis does not answer")
    held = [one for one in circuits if one.operation != STORAGE]
    if gate.reason is None or (held and gate.reason is not Wait.PROVIDER_ACCOUNT):
        return _retried(held)
    return PartView(status="degraded", detail=f"{gate.reason}: {gate.message}" if gate.message else gate.reason)


def _retried(circuits: list[CircuitView]) -> PartView:
    if not circuits:
        return PartView(status="ok")
    failing = ", ".join(f"{one.operation} since {one.since:%H:%M:%S}" for one in circuits)
    return PartView(status="degraded", detail=f"failing and retried automatically: {failing} UTC")


def _process(parts: Parts) -> PartView:
    if parts.live.draining:
        return PartView(status="down", detail="draining: ends once open requests are answered")
    if not parts.live.listening:
        return PartView(status="degraded", detail="completion events unavailable; waits may end 1 s late")
    return PartView(status="ok")


async def _look(looking: Awaitable[None], *, bad: Literal["degraded", "down"]) -> PartView:
    try:
        async with asyncio.timeout(LOOK_FOR):
            await looking
    except TimeoutError:
        return PartView(status=bad, detail=f"no answer within {LOOK_FOR:g} s")
    except (QueueFull, Unavailable, StorageError) as exc:
        return PartView(status=bad, detail=str(exc))
    return PartView(status="ok")
