"""Whether a process moves, judged by what it does: a thread counts beats, and what stands for too many stalled.

Beats are counted and no clock is read: while the whole process stands (a laptop's sleep, SIGSTOP, a machine without a
moment to spare) none is counted, so that only what stands while the rest goes on is taken for stalled.
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

STALLED: Final = 70  # exit code of a process that ended itself because something in it stood still
LOOP: Final = "event loop"
_BEATS: Final = 30  # in the limit
_STANDS: Final = 3  # more than a loop misses when it is busy for a moment
_UNWELL: Final = 20  # so many and it is shown, so that others may see it before the process ends


class Watch:
    """`moved(name)` begins and renews the watch over something; after `limit` without it, `ended` is called."""

    def __init__(self, limit: timedelta) -> None:
        self.limit = limit.total_seconds()
        self._period = self.limit / _BEATS
        self._still: dict[str, float] = {}  # beats since it moved; below 0: it has leave to stand for so long
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def moved(self, name: str, *, leave: float = 0.0) -> None:
        """It moved now. `leave`: seconds that it may stand from here on, before any are counted."""
        with self._lock:
            self._still[name] = -leave / self._period

    def forget(self, name: str) -> None:
        with self._lock:
            self._still.pop(name, None)

    @contextlib.contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Inside, it is watched, and has to end within the limit."""
        self.moved(name)
        try:
            yield
        finally:
            self.forget(name)

    def excuse(self) -> None:
        """What they wait for is away: nothing that stood until now stood by itself."""
        with self._lock:
            self._still = {name: min(beats, 0.0) for name, beats in self._still.items()}

    def quiet_for(self, name: str) -> float:
        """Seconds of beats since it moved; below 0 while it has leave to stand."""
        with self._lock:
            return self._still.get(name, 0.0) * self._period

    def unwell(self) -> list[str]:
        """What has not moved for two thirds of the limit."""
        return self._standing(_UNWELL)

    def begin(self, *, beat: Callable[[], None], ended: Callable[[list[str]], None]) -> None:
        """Starts the thread. `beat` is called with each beat; `ended` once, with what has stalled."""
        threading.Thread(target=self._count, args=(beat, ended), name="watch", daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def _count(self, beat: Callable[[], None], ended: Callable[[list[str]], None]) -> None:
        while not self._closed.wait(self._period):
            self._add_beat()
            beat()
            stalled = self._standing(_BEATS)
            if stalled:
                ended(stalled)
                return

    def _add_beat(self) -> None:
        """While the loop stands, so does all that runs on it: only the loop is to blame."""
        with self._lock:
            loop_stands = self._still.get(LOOP, 0) >= _STANDS
            for name in [LOOP] if loop_stands else self._still:
                self._still[name] += 1

    def _standing(self, beats: float) -> list[str]:
        with self._lock:
            return [name for name, since in self._still.items() if since >= beats]


@contextlib.contextmanager
def kept(loop: asyncio.AbstractEventLoop, limit: timedelta) -> Iterator[None]:
    """For a process that is a loop and nothing else: inside, the loop has to move, or the process ends."""
    watch = Watch(limit)

    def beat() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(watch.moved, LOOP)

    def ended(stalled: list[str]) -> None:
        tell(stalled, watch.limit)
        end_now()

    watch.begin(beat=beat, ended=ended)
    try:
        yield
    finally:
        watch.close()


def tell(stalled: list[str], limit: float) -> None:
    """Says what stood still, and where every thread is."""
    log.error("process.stalled", error=f"{', '.join(stalled)}: not moved for {limit:g} s, ending", exit_code=STALLED)
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a stderr that is no file
        faulthandler.dump_traceback(sys.stderr)


def end_now() -> NoReturn:
    """Ends this process as it stands: what hangs would hold up any other way."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(STALLED)
