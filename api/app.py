"""The API as an ASGI app: `create_app(settings)`, or `app` for `uvicorn api.app:app`, made on first use.

`retouch api` starts it with the server's own limits: `--http api.server:Protocol --ws none --timeout-keep-alive 75
--no-proxy-headers --no-server-header`.
"""

import asyncio
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Any, Final

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import auth, errors
from api.dependencies import Parts
from api.live import Live
from api.middleware import Envelope, Guard
from api.openapi import document
from api.routes import callbacks, docs, edits, operations, pictures
from api.schemas.views import Views
from config import logging
from config.errors import SettingsError
from config.local_stack import load_for_process
from config.settings import Settings
from edits.attempts import Tokens
from edits.db import checks, connection
from edits.db.admission import Admission
from edits.db.repository import EditRepository
from edits.db.sender import Scripts
from edits.errors import RedisUnfit
from edits.media.data_uri import most_characters
from edits.service import EditService
from edits.storage.links import Links
from edits.storage.store import Storage
from runtime import garbage, watchdog

VERSION: Final = "0.1.0"
ROUTERS: Final = (edits.router, pictures.edits, pictures.objects, callbacks.router, operations.router, docs.router)
REDIS_CONNECTIONS: Final = 64  # scripts share one connection; the others are for lists and for waiting calls
OTHER_BYTES: Final = 1024 * 1024  # of a body beside the picture in base64; each route has a lower cap of its own

SENT_BY_BROWSERS: Final = (
    "Authorization", "X-API-Key", "Content-Type", "Content-Encoding", "Idempotency-Key", "Prefer", "Request-Id",
    "Range", "If-Range", "If-None-Match",
)  # fmt: skip
SHOWN_TO_BROWSERS: Final = (
    "Request-Id", "Location", "Retry-After", "Idempotent-Replayed", "Preference-Applied", "ETag", "Repr-Digest",
    "Content-Range",
)  # fmt: skip


def create_app(settings: Settings) -> FastAPI:
    """An app that opens its parts at start. It starts without Redis, too, and /readyz reports that."""
    app = document.DescribedApp(
        title="Retouch",
        version=VERSION,
        description=document.DESCRIPTION,
        servers=[{"url": settings.public_url}],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirect would be made from the Host header
        telemetry={"tracing": False, "metrics": False, "logs": False},  # it would record paths, which hold tokens
        lifespan=_lifespan,
    )
    app.state.settings = settings
    for router in ROUTERS:
        app.router.routes.extend(router.routes)  # an included router would match each request twice
    errors.install(app)
    app.add_middleware(Guard, max_body=most_characters(settings.edits.max_input_bytes) + OTHER_BYTES)
    if settings.api.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.api.cors_origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=SENT_BY_BROWSERS,
            expose_headers=SHOWN_TO_BROWSERS,
        )
    app.add_middleware(Envelope, https=settings.public_url.startswith("https:"))
    if settings.api.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=auth.trusted_proxies(settings))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    if settings.redis_url is None or settings.secret_key is None:
        raise ValueError("the API needs RETOUCH_REDIS_URL and RETOUCH_SECRET_KEY")
    redis = connection.connect(settings.redis_url, max_connections=REDIS_CONNECTIONS)
    secret = settings.secret_key.get_secret_value()
    previous = settings.secret_key_previous.get_secret_value() if settings.secret_key_previous else None
    links = Links(secret, previous)
    scripts = Scripts(redis, settings.namespace, replicas=settings.redis_wait_replicas)
    repository = EditRepository(redis, namespace=settings.namespace, scripts=scripts)
    storage = Storage(settings.storage_url, links=links, public_url=settings.public_url)
    tokens = Tokens(settings.namespace, secret, previous)
    admission = Admission(
        redis,
        max_queued=settings.edits.max_queued,
        max_of_tenant=settings.edits.max_queued_per_tenant,
        memory=settings.redis_max_memory_used,
    )
    live = Live(repository, grace=settings.shutdown_grace)
    app.state.parts = Parts(
        settings=settings,
        repository=repository,
        storage=storage,
        links=links,
        admission=admission,
        service=EditService(repository, storage, links, tokens, settings, admission=admission),
        live=live,
        views=Views(storage, public_url=settings.public_url),
    )
    try:
        async with live.running():
            with _on_termination(live.drain), watchdog.kept(asyncio.get_running_loop(), settings.stall_limit):
                garbage.settle()
                yield
    finally:
        await redis.aclose()


@contextmanager
def _on_termination(drain: Callable[[], None]) -> Iterator[None]:
    """Calls `drain` at SIGTERM and SIGINT, before the server's own handler.

    The server first waits for open requests, and a call that waits for an edit would hold it for a minute. A second
    signal of either kind makes the server stop at once, as its own second SIGINT does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(drain)
        handler = previous[signal.Signals(number)]
        if callable(handler):
            handler(signal.SIGINT if received else number, frame)
        received.append(number)

    for number in previous:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def __getattr__(name: str) -> Any:
    """`app`, made on first use: importing this module reads no settings."""
    if name != "app":
        raise AttributeError(name)
    try:
        settings = load_for_process("api")
        logging.configure(settings)
        with ThreadPoolExecutor(1) as thread:  # uvicorn asks for `app` in its own event loop
            thread.submit(
                lambda: asyncio.run(checks.refuse_unfit(settings.redis_url or "", settings.namespace))
            ).result()
    except (SettingsError, RedisUnfit) as exc:
        sys.stderr.write(f"{exc}\n")
        raise SystemExit(2) from exc
    globals()["app"] = made = create_app(settings)
    return made
