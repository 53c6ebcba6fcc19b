"""Supervises local processes: starts them in order, restarts dead ones and stops all of them at the end.

Each service leads its own session: Ctrl-C reaches only the supervisor, and no child outlives its service.
"""

import asyncio
import contextlib
import os
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cli.errors import WorkFailed
from cli.local.logs import ServiceLog
from cli.local.reaper import Reaper
from cli.local.reaper_process import kill_group

STARTS_AT_ONCE = max((os.cpu_count() or 1) // 2, 1)  # restarts at once; a start takes one core for a second
TURN = 3.0  # seconds that a slow start holds up the next one
LOOK_EVERY = 0.05  # seconds between readiness probes
TIDY_EVERY = 0.5  # seconds between reads of the logs


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


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Delay before a restart; a service that lived `calm` seconds starts with the first delay again."""

    first: float = 0.5
    last: float = 30.0
    calm: float = 30.0

    def after(self, deaths: int) -> float:
        """Seconds of delay after this many deaths in a row (from 1)."""
        return min(self.first * 2.0 ** min(deaths - 1, 16), self.last)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """A service that fails so many checks in a row is killed. Checks are counted, not time: the machine may sleep."""

    every: float = 5.0
    looks: int = 6

    @classmethod
    def of(cls, seconds: float) -> Self:
        return cls(every=seconds / cls.looks)

    @property
    def seconds(self) -> float:
        return self.every * self.looks


class Supervisor:
    """`async with Supervisor(…)`: inside, every service has been ready and is kept running; afterwards none runs."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        logs: Path,
        say: Callable[[str], None],
        grace: float,
        backoff: Backoff | None = None,
        patience: Patience | None = None,
        keep_open: tuple[int, ...] = (),
    ) -> None:
        self._services = sorted(services, key=lambda service: service.order)
        self._logs = {service.name: ServiceLog(logs / f"{service.name}.log") for service in services}
        self._say = say
        self._grace = grace
        self._backoff = backoff or Backoff()
        self._patience = patience or Patience()
        self._reaper = Reaper(grace=grace, keep_open=keep_open)
        self._running: dict[str, Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._tidying: asyncio.Task[None] | None = None
        self._turns = {service.order: asyncio.Semaphore(STARTS_AT_ONCE) for service in services}
        self._hurry = asyncio.Event()
        self.ending = False

    async def __aenter__(self) -> Self:
        await self._reaper.start()
        try:
            for order in sorted({service.order for service in self._services}):
                await self._start([service for service in self._services if service.order == order])
        except BaseException:  # an interrupted start stops all services, too
            await self.stop()
            raise
        self._tidying = asyncio.create_task(self._tidy())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    @property
    def reaper_pid(self) -> int | None:
        return self._reaper.pid

    def hurry(self) -> None:
        """Kills services that are still ending."""
        self._hurry.set()

    async def stop(self) -> None:
        """Ends the services in reverse order, each order within the grace."""
        self.ending = True
        for keeper in [*self._keepers.values(), *([self._tidying] if self._tidying else [])]:
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        for order in sorted({service.order for service in self._services}, reverse=True):
            names = [service.name for service in self._services if service.order == order]
            await asyncio.gather(*(self._end(name) for name in names))
        await self._reaper.stop()

    async def _start(self, services: Sequence[Service]) -> None:
        for service in services:
            await self._spawn(service)
        await asyncio.gather(*(self._until_ready(service) for service in services))
        for service in services:
            self._keepers[service.name] = asyncio.create_task(self._keep(service))

    async def _spawn(self, service: Service) -> Process:
        with self._logs[service.name].open() as log:
            process = await asyncio.create_subprocess_exec(
                *service.command, env=dict(service.environment),
                cwd=service.folder, stdin=DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=self._reaper.register(service.order),
            )  # fmt: skip
        self._reaper.remember(process.pid, service.order)
        self._running[service.name] = process
        return process

    async def _until_ready(self, service: Service) -> None:
        process = self._running[service.name]
        until = time.monotonic() + service.start_within
        while not await service.ready():
            if process.returncode is not None:
                raise WorkFailed(self._failure(service, f"ended at once (exit {process.returncode})"))
            if time.monotonic() > until:
                raise WorkFailed(self._failure(service, f"was not ready within {service.start_within:.0f} s"))
            await asyncio.sleep(LOOK_EVERY)

    def _failure(self, service: Service, how: str) -> str:
        log = self._logs[service.name]
        return "\n".join([f"{service.name} {how}; the end of {log.path}:", *(f"    {line}" for line in log.tail())])

    async def _keep(self, service: Service) -> None:
        """Restarts the service when it dies, with a growing delay."""
        deaths = 0
        born = time.monotonic()
        while True:
            process = self._running[service.name]
            code = await self._end_of(service, process, starts_until=born + service.start_within if deaths else 0.0)
            self._forget(process)
            deaths = 1 if time.monotonic() - born > self._backoff.calm else deaths + 1
            wait = self._backoff.after(deaths)
            self._say(f"{service.name} died ({_how(code)}); restart in {wait:g} s; see {self._logs[service.name].path}")
            await asyncio.sleep(wait)
            async with self._turns[service.order]:
                born = time.monotonic()
                process = await self._spawn(service)
                self._say(f"{service.name} restarted (pid {process.pid})")
                await self._has_started(service, process)

    async def _has_started(self, service: Service, process: Process) -> None:
        """Holds up the next restart, so that many restarts do not take the CPU from running services."""
        until = time.monotonic() + TURN
        while process.returncode is None and time.monotonic() < until:
            if await service.ready():
                return
            await asyncio.sleep(LOOK_EVERY)

    async def _end_of(self, service: Service, process: Process, *, starts_until: float) -> int:
        """Waits for the end of the process, or kills it after failed health checks; returns the exit code."""
        watching = asyncio.create_task(self._watch(service, process, starts_until=starts_until))
        try:
            return await process.wait()
        finally:
            watching.cancel()

    async def _watch(self, service: Service, process: Process, *, starts_until: float) -> None:
        """Kills a process that hangs or is stopped; it would not react to SIGTERM."""
        if service.well is None:
            return
        missed = 0
        while missed < self._patience.looks:
            await asyncio.sleep(self._patience.every)
            if await service.well():
                missed, starts_until = 0, 0.0
            elif time.monotonic() > starts_until:
                missed += 1
        self._say(f"{service.name} failed its health check for {self._patience.seconds:g} s and is killed")
        kill_group(process.pid)

    async def _end(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        ending = asyncio.create_task(process.wait())
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({ending, hurry}, timeout=self._grace, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not ending.done():
            self._say(f"{name} did not end in time and is killed")
        kill_group(process.pid)
        await ending
        self._forget(process)

    def _forget(self, process: Process) -> None:
        """Kills the rest of the process group, which would hold the port."""
        kill_group(process.pid)
        self._reaper.forget(process.pid)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_EVERY)
            await self._reaper.revive()
            for name, log in self._logs.items():
                log.bound()
                for line in log.news():
                    self._say(f"{name}: {line}")


def _how(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name
