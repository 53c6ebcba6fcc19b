"""Supervisor side of the reaper: reports running services; the end of its pipe stops them (see `reaper_process`)."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from pathlib import Path

from cli.local import reaper_process

SCRIPT = str(Path(reaper_process.__file__).resolve())
STOP_WITHIN = 5.0  # seconds


class Reaper:
    """A small process in its own session that outlives the supervisor."""

    def __init__(self, *, grace: float, keep_open: tuple[int, ...] = ()) -> None:
        self._grace = grace
        self._keep_open = keep_open  # keeps the data dir locked until the last service has ended
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
        """Starts a new reaper if it was killed."""
        if self._process is not None and self._process.returncode is not None:
            os.close(self._pipe)
            await self.start()

    def register(self, order: int) -> Callable[[], None]:
        """Returns a function for the child process to call before exec, so that no service runs unregistered."""
        return lambda: self._write(f"+{os.getpid()} {order}\n")

    def remember(self, pid: int, order: int) -> None:
        """Stores the service for a restarted reaper."""
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
        with contextlib.suppress(OSError):  # the reaper was killed; the next one gets all services
            os.write(self._pipe, line.encode())
