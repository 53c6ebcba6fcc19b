"""The Qubico sandbox as an ASGI application: the provider's wire format without the client's code or purchases.

`uvicorn qubico.sandbox.app:app` reads `SANDBOX_*`; tests call `create_app`.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from qubico.sandbox import control, files, storefront, uploads
from qubico.sandbox.connection import SEND
from qubico.sandbox.options import SandboxOptions, from_environment
from qubico.sandbox.provider import Provider
from qubico.sandbox.wire import BadRequest, Refused


class Sandbox(Starlette):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[SEND] = send  # before any layer wraps it: the way to the server's transport
        await super().__call__(scope, receive, send)


def create_app(options: SandboxOptions | None = None) -> Sandbox:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.provider = Provider(app.state.options)
        yield
        await app.state.provider.close()

    app = Sandbox(
        routes=[*storefront.ROUTES, *uploads.ROUTES, *files.ROUTES, *control.ROUTES],
        exception_handlers={404: _refused, 405: _refused, Refused: _refused},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.options = options or SandboxOptions()
    return app


async def _refused(_request: Request, exc: Exception) -> Response:
    return exc.answer if isinstance(exc, Refused) else PlainTextResponse("404 page not found", 404)


try:
    app = create_app(from_environment(os.environ))
except BadRequest as exc:
    sys.stderr.write(f"{exc}\n")
    raise SystemExit(2) from None
