"""HTTP/1.1 as the API takes it: uvicorn's protocol, with limits on a request's head and answers that bear a Request-Id.

`uvicorn api.app:app --http api.server:Protocol --ws none`, as `retouch api` starts it. Without it the app itself still
refuses a head that is too large, but only after the server has kept all of it.
"""

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar, Final

import httptools
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api import errors, middleware

_FRAMING: Final = (b"content-length", b"transfer-encoding")


class Protocol(HttpToolsProtocol):
    """A head has to arrive whole within `head_within` seconds of its first byte, else the connection is closed."""

    head_within: ClassVar[float] = 20.0
    linger: ClassVar[float] = 3.0
    """Seconds that an idle connection stays open when the process ends."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head: int | None = None
        """Bytes of the head that is being read, those of its first packet aside; None between heads."""
        self._patience: asyncio.TimerHandle | None = None
        self._leaving = False
        self._repeated = False
        """What the parser reads now is a head that was read before."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        # A client may connect ahead of its first request, as it may keep a connection after it.
        self._wait(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        begun = self._head is not None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse(errors.Problem("malformed", "This is no HTTP.", headers={"Connection": "close"}))
        if begun and self._head is not None and not self.transport.is_closing():
            self._head += len(data)
            if self._head > middleware.MOST_HEAD_BYTES:
                self._refuse(middleware.head_too_large())

    def on_message_begin(self) -> None:
        if not self._repeated:
            super().on_message_begin()
            self._head = 0
            self._wait(self.head_within)

    def on_url(self, url: bytes) -> None:
        if not self._repeated:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._repeated:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._repeated:
            self._arrived()
            super().on_headers_complete()
            if self._leaving:
                self.cycle.keep_alive = False
        self._repeated = False

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():  # else the parser has passed the body over, and it is still to come
            super().on_message_complete()

    def shutdown(self) -> None:
        """The process ends. A client may be sending on a connection that it kept: it is answered, and told to close."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._leaving = True
            grace: int | None = self.config.timeout_graceful_shutdown
            self._wait(self.linger if grace is None else min(self.linger, grace / 2))
        else:
            super().shutdown()

    def _decline(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 after an offer to speak otherwise, as Java's client makes it with its first request.

        A parser stops at such an offer and takes no body, so another one goes on that has read the head without it.
        """
        framing = b"".join(b"%s: %s\r\n" % field for field in self.headers if field[0] in _FRAMING)
        self.parser = httptools.HttpRequestParser(self)
        self._repeated = True
        self.data_received(b"POST / HTTP/1.1\r\n%s\r\n" % (framing or b"content-length: 0\r\n") + rest)

    def _wait(self, seconds: float) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(seconds, self.transport.close)

    def _arrived(self) -> None:
        self._head = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, problem: errors.Problem) -> None:
        # While an earlier request on this connection is being answered, these bytes would land inside that answer.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            request_id = middleware.new_id()
            self.transport.write(_on_the_wire(errors.answer(problem, path="", request_id=request_id), request_id))
        self.transport.close()


def _on_the_wire(response: Response, request_id: str) -> bytes:
    status = HTTPStatus(response.status_code)
    headers = middleware.dressed(response.raw_headers, request_id)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), *(b": ".join(header) for header in headers)]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
