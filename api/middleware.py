"""Around every request: its id, and the last resort. What nobody foresaw is logged under that id, and answered."""

import re
from typing import Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

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
        request_id = _kept(scope) or f"req_{ULID()}"
        scope.setdefault("state", {})["request_id"] = request_id
        begun = False

        async def send_with_id(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message)["Request-Id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception as exc:
                if begun:  # half an answer is out: only a broken connection says so
                    raise
                log.exception("request.broke", path=scope["path"], error=type(exc).__name__)
                problem = errors.Problem(
                    "unavailable", "Something went wrong here; the log has it under this Request-Id."
                )
                response = errors.answer(problem, path=scope["path"], request_id=request_id)
                await response(scope, receive, send_with_id)


def _kept(scope: Scope) -> str | None:
    sent = next((value for name, value in scope["headers"] if name == HEADER), b"")
    return sent.decode() if _KEPT.fullmatch(sent) else None
