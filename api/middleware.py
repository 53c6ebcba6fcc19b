"""Around every request: its id, limits on its size, what every answer has in common, and the last resort."""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors

log = structlog.get_logger()

Headers = list[tuple[bytes, bytes]]

HEADER: Final = b"request-id"
MOST_HEADERS: Final = 100
MOST_HEAD_BYTES: Final = 32 * 1024
"""Of address and headers together; a proxy before us usually takes less."""

_KEPT: Final = re.compile(rb"[\x21-\x7e]{1,128}")
"""What may come back in a header and stand in a log line: printable ASCII without spaces."""

# Each is added where an answer does not say it itself: the page of /docs has a policy of its own, pictures may be kept.
_EVERY_ANSWER: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
]
_OVER_HTTPS: Final[Headers] = [(b"strict-transport-security", b"max-age=31536000")]


class Envelope:
    """Pure ASGI, outside all else: gives each answer its id and its headers. A sane id that was sent is kept."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        """`https`: browsers are told to come by https alone."""
        self._app = app
        self._headers = [*_EVERY_ANSWER, *_OVER_HTTPS] if https else _EVERY_ANSWER

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _kept(scope) or new_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = dressed(message.get("headers", ()), request_id, self._headers)
            await send(message)

        # The server runs each request in a context of its own, so nothing has to be taken back.
        structlog.contextvars.bind_contextvars(request_id=request_id, client=(scope.get("client") or ("",))[0])
        await self._app(scope, receive, send_dressed)


class Guard:
    """Pure ASGI, right around the application, so that pages of other origins can read what it answers.

    What is too large is refused. What nobody foresaw is logged under the request's id, and answered.
    """

    def __init__(self, app: ASGIApp, *, max_body: int) -> None:
        """`max_body`: bytes that no body may exceed, whatever its route takes."""
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
        if problem is None:
            try:
                await self._app(scope, _capped(receive, self._max_body, ends_soon=_ends_soon(scope)), send_noting)
            except Exception as exc:
                if begun:  # half an answer is out: only a broken connection says so
                    raise
                log.exception("request.broke", route=errors.route_of(scope), error=type(exc).__name__)
                problem = errors.Problem("unavailable", "Something went wrong here; the log has it by this Request-Id.")
        if problem is not None:
            response = errors.answer(problem, path=scope["path"], request_id=scope["state"]["request_id"])
            await response(scope, receive, send)


def new_id() -> str:
    return f"req_{secrets.token_hex(12)}"


def dressed(headers: Iterable[tuple[bytes, bytes]], request_id: str, more: Headers = _EVERY_ANSWER) -> Headers:
    """The headers of an answer with its id and those of `more` that it does not set itself."""
    own = list(headers)
    said = {name for name, _ in own}
    return [*own, (HEADER, request_id.encode()), *(header for header in more if header[0] not in said)]


def head_too_large() -> errors.Problem:
    limits = f"{MOST_HEADERS} headers and {MOST_HEAD_BYTES} bytes of address and headers"
    return errors.Problem("headers_too_large", f"a request may have up to {limits}", headers={"Connection": "close"})


def _kept(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == HEADER:
            return value.decode() if _KEPT.fullmatch(value) else None
    return None


def _too_large(scope: Scope, max_body: int) -> errors.Problem | None:
    headers: Headers = scope["headers"]
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    announced = 0
    for name, value in headers:
        size += len(name) + len(value) + 4  # a colon, a space and the end of the line
        if name == b"content-length" and value.isdigit():
            announced = int(value[:20])
    if len(headers) > MOST_HEADERS or size > MOST_HEAD_BYTES:
        return head_too_large()
    return _body_too_large(max_body) if announced > max_body else None


def _ends_soon(scope: Scope) -> Callable[[], bool]:
    return lambda: bool(scope["app"].state.parts.live.late)


def _capped(receive: Receive, max_body: int, *, ends_soon: Callable[[], bool]) -> Receive:
    """Where the body is read, raises Problem body_too_large (also if it does not announce its length) or draining.

    A body that is still on its way shortly before the process ends would be cut: so far nothing was accepted.
    """
    received = 0

    async def receive_some() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > max_body:
            raise _body_too_large(max_body)
        if message.get("more_body") and ends_soon():
            raise errors.Problem("draining", "This process is ending; ask again, another one takes it.")
        return message

    return receive_some


def _body_too_large(max_body: int) -> errors.Problem:
    return errors.Problem("body_too_large", f"a body may have up to {max_body} bytes")
