"""uvicorn's HTTP/1.1 protocol with limits on a request's head, and errors as the API shows them (decision 19).

`uvicorn api.app:app --http api.server:Protocol --ws none`, as `retouch api` starts it.
"""

import asyncio
import re
from http import HTTPStatus
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api import errors, middleware

_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class Protocol(HttpToolsProtocol):
    """A head must arrive within `head_within` seconds of its first byte; a new connection must send one in time."""

    head_within: ClassVar[float] = 20.0
    linger: ClassVar[float] = 3.0  # seconds that an idle connection stays open when the process ends

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head: int | None = None
        """Bytes of the head that is arriving, without those of its first packet; None between heads."""
        self._timer: asyncio.TimerHandle | None = None
        self._leaving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._close_after(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_done()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        begun = self._head is not None
        if begun or self._is_idle():
            # The parser drops the body after an offer to upgrade, which Java's client makes with each request.
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(b"\r\nx-upgrade:", head) + end + rest
        super().data_received(data)
        if begun and self._head is not None and not self.transport.is_closing():
            self._head += len(data)
            if self._head > middleware.MOST_HEAD_BYTES:
                self._refuse(middleware.head_too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._close_after(self.head_within)

    def on_headers_complete(self) -> None:
        self._head_done()
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own text
        self._refuse(errors.Problem("malformed", "This is not valid HTTP.", headers={"Connection": "close"}))

    def shutdown(self) -> None:
        """Called as the process ends. A request already on an open connection is answered with `Connection: close`."""
        if self._is_idle():
            self._leaving = True
            grace: int | None = self.config.timeout_graceful_shutdown
            self._close_after(self.linger if grace is None else min(self.linger, grace / 2))
        else:
            super().shutdown()

    def _is_idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _close_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _head_done(self) -> None:
        self._head = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, problem: errors.Problem) -> None:
        if self._is_idle():  # else these bytes would land inside the answer to an earlier request
            request_id = middleware.new_id()
            response = errors.answer(problem, path="", request_id=request_id)
            status = HTTPStatus(response.status_code)
            headers = middleware.dressed(response.raw_headers, request_id)
            lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), *(b": ".join(header) for header in headers)]
            self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self.transport.close()
