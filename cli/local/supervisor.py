"""Supervises local processes: starts them in order, restarts dead ones and stops all of them at the end.

Each service leads its own session: Ctrl-C reaches only the supervisor, and no child outlives its service.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Self

from cli.errors import WorkFailed
from cli.local.logs import ServiceLog
from cli.local.reaper import Reaper
from cli.local.reaper_process import kill_group
from edits.retry import Backoff

STARTS_AT_ONCE = max((os.cpu_count() or 1) // 2, 1)  # restarts at once; a start takes one core for a second
TURN = 3.0  # seconds that a slow start holds up the next one
LOOK_EVERY = 0.05  # seconds between readiness probes
LOOKS = 6  # failed health checks after which a service is killed; not a span of time: the machine may sleep
TIDY_EVERY = 0.5  # seconds between reads of the logs
RESTART = Backoff(first=0.5, factor=2, most=30)
CALM = 30.0  # seconds; a service that lived so long is restarted after the first delay again


@dataclass(frozen=True, kw_only=True)
class Service:
    """One process: command, readiness probe and place in the start order."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Callable[[], Awaitable[bool]]
    order: int = 0  # lower starts earlier and ends later
    start_within: float = 30.0  # seconds
    well: Callable[[], Awaitable[bool]] | None = None  # asked while it runs; None: that it runs is enough
    folder: Path | None = None  # where it runs; unset: where we do


class Supervisor:
    """`async with Supervisor(…)`: inside, every service has been ready and is kept running; afterwards none runs.

    `grace`: seconds in which the services of one order may end. `stall_limit`: seconds of failed health checks after
    which a service is killed. `keep_open`: descriptors that stay open until the last service has ended.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        logs: Path,
        say: Callable[[str], None],
        grace: float,
        backoff: Backoff = RESTART,
        stall_limit: float = 30.0,
        keep_open: tuple[int, ...] = (),
    ) -> None:
        by_order = itertools.groupby(sorted(services, key=attrgetter("order")), attrgetter("order"))
        self._stages = [list(stage) for _, stage in by_order]
        self._logs = {service.name: ServiceLog(logs / f"{service.name}.log") for service in services}
        self._say = say
        self._backoff = backoff
        self._stall_limit = stall_limit
        self.reaper = Reaper(grace=grace, keep_open=keep_open)
        self._running: dict[str, Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._turns = {service.order: asyncio.Semaphore(STARTS_AT_ONCE) for service in services}
        self.ending = False

    async def __aenter__(self) -> Self:
        await self.reaper.start()
        try:
            for stage in self._stages:
                await self._start(stage)
        except BaseException:  # an interrupted start stops all services, too
            await self.stop()
            raise
        self._tasks.append(asyncio.create_task(self._tidy()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    def hurry(self) -> None:
        """Kills services that are still ending."""
        for process in self._running.values():
            if process.returncode is None:
                kill_group(process.pid)

    async def stop(self) -> None:
        """Ends the services in reverse order, each order within the grace."""
        self.ending = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = {name: process for name, process in self._running.items() if process.returncode is None}
        await self.reaper.stop()
        for name, process in left.items():
            if await process.wait() == -signal.SIGKILL:
                self._say(f"{name} did not end in time and is killed")
        self._running.clear()

    async def _start(self, stage: Sequence[Service]) -> None:
        for service in stage:
            await self._spawn(service)
        await asyncio.gather(*(self._until_ready(service) for service in stage))
        self._tasks += [asyncio.create_task(self._keep(service)) for service in stage]

    async def _spawn(self, service: Service) -> Process:
        with self._logs[service.name].open() as log:
            process = await self.reaper.spawn(
                service.command, order=service.order, env=dict(service.environment), cwd=service.folder,
                stdin=DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._running[service.name] = process
        return process

    async def _is_ready(self, service: Service, *, within: float) -> bool:
        """False when the process has ended, or is not ready within so many seconds."""
        process = self._running[service.name]
        until = time.monotonic() + within
        while process.returncode is None and time.monotonic() < until:
            if await service.ready():
                return True
            await asyncio.sleep(LOOK_EVERY)
        return False

    async def _until_ready(self, service: Service) -> None:
        if await self._is_ready(service, within=service.start_within):
            return
        code, log = self._running[service.name].returncode, self._logs[service.name]
        how = f"was not ready within {service.start_within:.0f} s" if code is None else f"ended at once (exit {code})"
        lines = [f"{service.name} {how}; the end of {log.path}:", *(f"    {line}" for line in log.tail())]
        raise WorkFailed("\n".join(lines))

    async def _keep(self, service: Service) -> None:
        """Restarts the service when it dies, with a growing delay."""
        deaths = 0
        born = time.monotonic()
        while True:
            process = self._running[service.name]
            code = await self._end_of(service, process, starts_until=born + service.start_within if deaths else 0.0)
            self.reaper.forget(process.pid)
            deaths = 1 if time.monotonic() - born > CALM else deaths + 1
            wait = self._backoff.delay(deaths - 1, lambda: 0.5) or 0.0  # without jitter
            how = f"exit {code}" if code >= 0 else signal.Signals(-code).name
            self._say(f"{service.name} died ({how}); restart in {wait:g} s; see {self._logs[service.name].path}")
            await asyncio.sleep(wait)
            async with self._turns[service.order]:
                born = time.monotonic()
                process = await self._spawn(service)
                self._say(f"{service.name} restarted (pid {process.pid})")
                # Holds up the next restart, so that many restarts do not take the CPU from running services.
                await self._is_ready(service, within=TURN)

    async def _end_of(self, service: Service, process: Process, *, starts_until: float) -> int:
        """Waits for the end of the process, or kills it after failed health checks: a hung one ignores SIGTERM.

        Returns the exit code.
        """
        missed = 0
        while missed < LOOKS:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(process.wait(), self._stall_limit / LOOKS)
            if service.well is None or await service.well():
                missed, starts_until = 0, 0.0
            elif time.monotonic() > starts_until:
                missed += 1
        self._say(f"{service.name} failed its health check for {self._stall_limit:g} s and is killed")
        kill_group(process.pid)
        return await process.wait()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_EVERY)
            await self.reaper.revive()
            for name, log in self._logs.items():
                log.bound()
                for line in log.news():
                    self._say(f"{name}: {line}")
