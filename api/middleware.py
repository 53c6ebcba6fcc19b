"""Around every request: its id, and the last resort. What nobody foresaw is logged under that id, and answered."""

import re
import secrets
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors

log = structlog.get_logger()

HEADER: Final = b"request-id"
_KEPT: Final = re.compile(rb"[\x21-\x7e]{1,128}")
"""What may come back in a header and stand in a log line: printable ASCII without spaces."""


class RequestIds:
    """Pure ASGI: a sent `Request-Id` is kept if it is sane, else one is made; each answer carries it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _kept(scope) or f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {})["request_id"] = request_id
        begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", ()), (HEADER, request_id.encode())]
            await send(message)

        # The server runs each request in a context of its own, so nothing has to be taken back.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as exc:
            if begun:  # half an answer is out: only a broken connection says so
                raise
            log.exception("request.broke", route=errors.route_of(scope), error=type(exc).__name__)
            problem = errors.Problem("unavailable", "Something went wrong here; the log has it under this Request-Id.")
            response = errors.answer(problem, path=scope["path"], request_id=request_id)
            await response(scope, receive, send_with_id)


def _kept(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == HEADER:
            return value.decode() if _KEPT.fullmatch(value) else None
    return None
