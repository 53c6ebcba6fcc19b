"""Serves a worker process's `/healthz` and `/metrics` over HTTP, on the loopback of its host."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiohttp import web

from edits.errors import Unavailable
from workers.clients import Clients

log = structlog.get_logger()


@asynccontextmanager
async def serve_status(
    clients: Clients, health: Callable[[], dict[str, Any]], *, port: int | None
) -> AsyncIterator[None]:
    """Listens while the body runs; not at all where `port` is None."""
    if port is None:
        yield
        return

    async def healthz(_request: web.Request) -> web.Response:
        now = health()
        return web.json_response(now, status=503 if now["stalled"] else 200)

    async def metrics(request: web.Request) -> web.Response:
        from edits import stats  # noqa: PLC0415 - a worker need not be asked, and starts without it

        scope = request.query.get("scope")
        if scope not in {None, "process", "cluster"}:
            return web.Response(status=422, text="scope: process or cluster\n")
        try:
            text = await stats.render(clients.repository, scope=scope)
        except Unavailable as exc:
            return web.Response(status=503, text=f"{exc}\n")
        return web.Response(body=text, headers={"Content-Type": stats.CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        log.info("status.listening", port=port)
    except OSError as exc:
        log.warning("status.not_listening", port=port, error=exc.strerror)
    try:
        yield
    finally:
        await runner.cleanup()
