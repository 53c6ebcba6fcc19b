"""Around every request: its id, limits on its size, common headers, and the answer to an unexpected error."""

import re
import secrets
from collections.abc import Iterable
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors

log = structlog.get_logger()

Headers = list[tuple[bytes, bytes]]

HEADER: Final = b"request-id"
MOST_HEADERS: Final = 100
MOST_HEAD_BYTES: Final = 32 * 1024  # of address and headers together; a proxy before us usually takes less

_KEPT: Final = re.compile(rb"[\x21-\x7e]{1,128}")
"""A sent id that is safe in a header and a log line: printable ASCII without spaces."""

# Added where an answer does not set it itself: /docs has its own policy, pictures may be cached.
_EVERY_ANSWER: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
]
_OVER_HTTPS: Final[Headers] = [(b"strict-transport-security", b"max-age=31536000")]


class Envelope:
    """Pure ASGI, outermost: gives each answer its id and its headers. A valid id that was sent is kept."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        """`https`: sends HSTS, so that browsers use https only."""
        self._app = app
        self._headers = [*_EVERY_ANSWER, *_OVER_HTTPS] if https else _EVERY_ANSWER

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(HEADER, b"")
        request_id = sent.decode() if _KEPT.fullmatch(sent) else new_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = dressed(message.get("headers", ()), request_id, self._headers)
            await send(message)

        # The server runs each request in its own context, so nothing has to be unbound.
        structlog.contextvars.bind_contextvars(request_id=request_id, client=(scope.get("client") or ("",))[0])
        await self._app(scope, receive, send_dressed)


class Guard:
    """Pure ASGI, inside CORS, so that pages of other origins can read its answers.

    Refuses requests that are too large; logs and answers unexpected errors.
    """

    def __init__(self, app: ASGIApp, *, max_body: int) -> None:
        """`max_body`: the most bytes that any route reads. Routes have caps of their own, below this one."""
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_noting(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        problem = _too_large(scope, self._max_body)
        try:
            if problem is None:
                await self._app(scope, receive, send_noting)
                return
        except Exception as exc:
            if begun:  # part of the answer is sent: only a broken connection shows the error
                raise
            log.exception("request.broke", route=errors.route_of(scope), error=type(exc).__name__)
            problem = errors.Problem("unavailable", "Internal error. Search the logs for this Request-Id.")
        response = errors.answer(problem, path=scope["path"], request_id=scope["state"]["request_id"])
        await response(scope, receive, send)


def new_id() -> str:
    return f"req_{secrets.token_hex(12)}"


def dressed(headers: Iterable[tuple[bytes, bytes]], request_id: str, more: Headers = _EVERY_ANSWER) -> Headers:
    """An answer's headers, its id, and those of `more` that it does not set itself."""
    own = list(headers)
    said = {name for name, _ in own}
    return [*own, (HEADER, request_id.encode()), *(header for header in more if header[0] not in said)]


def head_too_large() -> errors.Problem:
    detail = f"Send at most {MOST_HEADERS} headers, and at most {MOST_HEAD_BYTES} bytes of address and headers."
    return errors.Problem("headers_too_large", detail, headers={"Connection": "close"})


def _too_large(scope: Scope, max_body: int) -> errors.Problem | None:
    headers: Headers = scope["headers"]
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    for name, value in headers:
        size += len(name) + len(value) + 4  # a colon, a space and the end of the line
    if len(headers) > MOST_HEADERS or size > MOST_HEAD_BYTES:
        return head_too_large()
    length = dict(headers).get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > max_body:
        return errors.Problem("body_too_large", f"The body is larger than {max_body} bytes.")
    return None
