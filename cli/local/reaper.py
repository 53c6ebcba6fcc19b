"""Supervisor side of the reaper, which ends all services when its pipe is closed (see `reaper_process`)."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.local import reaper_process

SCRIPT = str(Path(reaper_process.__file__).resolve())


class Reaper:
    """A small process in its own session that outlives the supervisor."""

    def __init__(self, *, grace: float, keep_open: tuple[int, ...] = ()) -> None:
        self._grace = grace
        self._keep_open = keep_open
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

    async def spawn(self, command: Sequence[str], *, order: int, **options: Any) -> Process:
        """Starts a service in its own session; the child registers itself before exec, so none runs unregistered."""
        process = await asyncio.create_subprocess_exec(
            *command,
            start_new_session=True,
            preexec_fn=lambda: self._write(f"+{os.getpid()} {order}\n"),
            **options,
        )
        self._orders[process.pid] = order  # for a restarted reaper
        return process

    def forget(self, pid: int) -> None:
        """Kills the rest of a dead service's process group, which would hold its port."""
        reaper_process.kill_group(pid)
        if self._orders.pop(pid, None) is not None:
            self._write(f"-{pid}\n")

    async def stop(self) -> None:
        """Ends the services, highest order first, each order within the grace."""
        if self._process is None:
            return
        os.close(self._pipe)
        with contextlib.suppress(ProcessLookupError):  # a stopped reaper would never see the end of its pipe
            self._process.send_signal(signal.SIGCONT)
        while await self._process.wait() != 0:  # it was killed
            await self.start()
            os.close(self._pipe)
        self._process = None

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError):  # the reaper was killed; the next one gets all services
            os.write(self._pipe, line.encode())
