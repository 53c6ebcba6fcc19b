"""Ends a process in which something stands still: a thread sends ticks to the event loop, and the loop counts them.

No clock is read: a stopped process (sleep, SIGSTOP, no CPU time) counts nothing, and a blocked loop only counts itself.
"""

import asyncio
import contextlib
import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final, NoReturn

import structlog

log = structlog.get_logger()

STALLED: Final = 70  # exit code of a process that ended itself because of a stall
LOOP: Final = "event loop"
_TICKS: Final = 30  # in the limit
_UNWELL: Final = 20  # ticks after which a stall is shown, before the process ends


class Watch:
    """Names that must move within `limit`. All methods but `close` are called on the loop, or before it starts."""

    def __init__(self, limit: timedelta) -> None:
        self.limit = limit.total_seconds()
        self._still: dict[str, int] = {}  # ticks since it moved
        self._unanswered = 0  # ticks since the loop answered
        self._answered = True
        self._closed = threading.Event()

    def moved(self, name: str) -> None:
        """Starts or restarts the count for `name`."""
        self._still[name] = 0

    def expect(self, name: str) -> None:
        """Starts the count for `name`, unless it has started."""
        self._still.setdefault(name, 0)

    def forget(self, name: str) -> None:
        self._still.pop(name, None)

    @contextlib.contextmanager
    def during(self, name: str) -> Iterator[None]:
        """The body must end within the limit."""
        self.moved(name)
        try:
            yield
        finally:
            self.forget(name)

    def excuse(self) -> None:
        """Restarts all counts, because a needed service is unavailable."""
        self._still = dict.fromkeys(self._still, 0)

    def unwell(self) -> list[str]:
        """Names that have not moved for two thirds of the limit."""
        return self._standing(_UNWELL)

    def begin(self, loop: asyncio.AbstractEventLoop, *, ended: Callable[[list[str]], None]) -> None:
        """Starts the thread. It calls `ended` once, with the names that have stalled."""
        threading.Thread(target=self._tick, args=(loop, ended), name="watch", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def _tick(self, loop: asyncio.AbstractEventLoop, ended: Callable[[list[str]], None]) -> None:
        while not self._closed.wait(self.limit / _TICKS):
            self._unanswered += 1
            if self._answered:
                self._answered, self._unanswered = False, 0
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._answer)
            if stalled := self._standing(_TICKS):
                ended(stalled)
                return

    def _answer(self) -> None:
        self._answered = True
        for name in self._still:
            self._still[name] += 1

    def _standing(self, ticks: int) -> list[str]:
        if self._unanswered >= ticks:
            return [LOOP]
        return [name for name, since in list(self._still.items()) if since >= ticks]


@contextlib.contextmanager
def kept(loop: asyncio.AbstractEventLoop, limit: timedelta) -> Iterator[None]:
    """Ends the process if the loop is blocked for `limit` while the body runs."""

    def ended(stalled: list[str]) -> None:
        tell(stalled, watch.limit)
        end_now()

    with contextlib.closing(Watch(limit)) as watch:
        watch.begin(loop, ended=ended)
        yield


def tell(stalled: list[str], limit: float) -> None:
    """Logs the stalled names, and writes each thread's stack to stderr. `limit`: seconds."""
    log.error("process.stalled", error=f"{', '.join(stalled)}: not moved for {limit:g} s, ending", exit_code=STALLED)
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a stderr that is no file
        faulthandler.dump_traceback(sys.stderr)


def end_now() -> NoReturn:
    """Ends this process without cleanup, which could hang."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(STALLED)
