"""The sandbox's own routes under `/sandbox/`: switches, clock, ledger, counts. No key is asked: serve on loopback."""

import math
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qubico.sandbox.options import changed
from qubico.sandbox.provider import Provider
from qubico.sandbox.wire import BadRequest

OBJECT = TypeAdapter(dict[str, Any])


async def options(request: Request) -> Response:
    provider = _provider(request)
    if request.method == "PATCH":
        provider.change(await _object(request))
    return _options(provider)


async def reset(request: Request) -> Response:
    """Forgets every task and count; options are those of the start, with the changes in the body."""
    state = request.app.state
    options = changed(state.options, await _object(request))
    await state.provider.close(forget=True)
    state.provider = Provider(options)
    return _options(state.provider)


async def clock(request: Request) -> Response:
    provider = _provider(request)
    if request.method == "POST":
        seconds = (await _object(request)).get("advance")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise BadRequest('clock: send {"advance": seconds}, a number from 0 up; time never goes back')
        await provider.advance(seconds)
    return JSONResponse({"now": provider.clock.now()})


async def ledger(request: Request) -> Response:
    provider = _provider(request)
    now, book = provider.clock.now(), provider.ledger
    summary = {
        "tasks_bought": len(book.tasks),
        "units": book.charged(now),
        "balance_units": book.balance(now),
        "duplicates": book.duplicates(),
        "tasks": [book.row(task, now) for task in book.tasks],
    }
    return JSONResponse(summary)


async def stats(request: Request) -> Response:
    provider = _provider(request)
    return JSONResponse(provider.stats.summary(provider.ledger.tasks, provider.clock.now()))


async def health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _provider(request: Request) -> Provider:
    provider: Provider = request.app.state.provider
    return provider


def _options(provider: Provider) -> Response:
    shown = provider.options.model_dump()
    shown["next_faults"] = {name: left for name, left in provider.faults.coming.items() if left > 0}
    return JSONResponse(shown)


async def _object(request: Request) -> dict[str, Any]:
    try:
        return OBJECT.validate_json(await request.body() or b"{}")
    except ValidationError as exc:
        raise BadRequest("the body is not a JSON object") from exc


ROUTES = [
    Route("/sandbox/options", options, methods=["GET", "PATCH"]),
    Route("/sandbox/reset", reset, methods=["POST"]),
    Route("/sandbox/clock", clock, methods=["GET", "POST"]),
    Route("/sandbox/ledger", ledger, methods=["GET"]),
    Route("/sandbox/stats", stats, methods=["GET"]),
    Route("/sandbox/health", health, methods=["GET"]),
]
