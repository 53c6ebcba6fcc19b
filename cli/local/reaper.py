"""The supervisor's end of the reaper: it tells which parts run, and its silence ends them (see `reaper_process`)."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from pathlib import Path

from cli.local import reaper_process

SCRIPT = str(Path(reaper_process.__file__).resolve())
STOP_WITHIN = 5.0  # seconds; with nothing left to end it goes at once


class Reaper:
    """A small process beside the supervisor, in a session of its own."""

    def __init__(self, *, grace: float, keep_open: tuple[int, ...] = ()) -> None:
        self._grace = grace
        self._keep_open = keep_open  # a lock on the data dir is held until the last part has ended
        self._orders: dict[int, int] = {}
        self._process: Process | None = None
        self._pipe = -1

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        reading, self._pipe = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", SCRIPT, str(self._grace),
                stdin=reading, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True, pass_fds=self._keep_open,
            )  # fmt: skip
        finally:
            os.close(reading)
        for pid, order in self._orders.items():
            self._write(f"+{pid} {order}\n")

    async def revive(self) -> None:
        """Starts another one if it was killed."""
        if self._process is not None and self._process.returncode is not None:
            os.close(self._pipe)
            await self.start()

    def register(self, order: int) -> Callable[[], None]:
        """To be called in the new process before it becomes the part: so none runs unregistered, not for an instant."""
        return lambda: self._write(f"+{os.getpid()} {order}\n")

    def remember(self, pid: int, order: int) -> None:
        """For a reaper that has to be started again."""
        self._orders[pid] = order

    def forget(self, pid: int) -> None:
        if self._orders.pop(pid, None) is not None:
            self._write(f"-{pid}\n")

    async def stop(self) -> None:
        if self._process is None:
            return
        os.close(self._pipe)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), STOP_WITHIN)
        self._process = None

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError):  # it was killed just now: the next one is told everything
            os.write(self._pipe, line.encode())
