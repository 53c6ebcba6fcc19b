"""Keeps local processes running: starts them in order, starts the dead again and ends them all, whatever ends itself.

Each part leads a session of its own: Ctrl-C reaches the supervisor alone, and nothing below a part outlives it.
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
from cli.local.logs import PartLog
from cli.local.reaper import Reaper
from cli.local.reaper_process import kill_group

STARTS_AT_ONCE = max((os.cpu_count() or 1) // 2, 1)  # of parts that died; a start takes a core for a second
TURN = 3.0  # seconds that one which does not become ready holds up the others
LOOK_EVERY = 0.05  # seconds between looks at a part that is starting
TIDY_EVERY = 0.5  # seconds between looks at the logs


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process to keep: what to run, when it counts as ready, and its place in the order."""

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
    """How long a dead part waits before it is started again; one that lived `calm` seconds starts over."""

    first: float = 0.5
    last: float = 30.0
    calm: float = 30.0

    def after(self, deaths: int) -> float:
        """The wait after so many deaths in a row, the first being 1."""
        return min(self.first * 2.0 ** min(deaths - 1, 16), self.last)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """A part that is not well at so many looks in a row is killed. Looks are counted, not time: a machine may sleep."""

    every: float = 5.0
    looks: int = 6

    @classmethod
    def of(cls, seconds: float) -> Self:
        return cls(every=seconds / cls.looks)

    @property
    def seconds(self) -> float:
        return self.every * self.looks


class Supervisor:
    """`async with Supervisor(…)`: inside, every part was ready once and is kept running; after it, none is left."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        logs: Path,
        say: Callable[[str], None],
        grace: float,
        backoff: Backoff | None = None,
        patience: Patience | None = None,
        keep_open: tuple[int, ...] = (),
    ) -> None:
        self._parts = sorted(parts, key=lambda part: part.order)
        self._logs = {part.name: PartLog(logs / f"{part.name}.log") for part in parts}
        self._say = say
        self._grace = grace
        self._backoff = backoff or Backoff()
        self._patience = patience or Patience()
        self._reaper = Reaper(grace=grace, keep_open=keep_open)
        self._running: dict[str, Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._tidying: asyncio.Task[None] | None = None
        self._turns = {part.order: asyncio.Semaphore(STARTS_AT_ONCE) for part in parts}
        self._hurry = asyncio.Event()
        self.ending = False

    async def __aenter__(self) -> Self:
        await self._reaper.start()
        try:
            for order in sorted({part.order for part in self._parts}):
                await self._start([part for part in self._parts if part.order == order])
        except BaseException:  # an interrupted start must leave as little behind as a failed one
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
        """Asked twice to end: whatever is still ending is killed now."""
        self._hurry.set()

    async def stop(self) -> None:
        """Ends the parts in reverse order, each order within the grace."""
        self.ending = True
        for keeper in [*self._keepers.values(), *([self._tidying] if self._tidying else [])]:
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        for order in sorted({part.order for part in self._parts}, reverse=True):
            names = [part.name for part in self._parts if part.order == order]
            await asyncio.gather(*(self._end(name) for name in names))
        await self._reaper.stop()

    async def _start(self, parts: Sequence[Part]) -> None:
        for part in parts:
            await self._spawn(part)
        await asyncio.gather(*(self._until_ready(part) for part in parts))
        for part in parts:
            self._keepers[part.name] = asyncio.create_task(self._keep(part))

    async def _spawn(self, part: Part) -> Process:
        with self._logs[part.name].open() as log:
            process = await asyncio.create_subprocess_exec(
                *part.command, env=dict(part.environment),
                cwd=part.folder, stdin=DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=self._reaper.register(part.order),
            )  # fmt: skip
        self._reaper.remember(process.pid, part.order)
        self._running[part.name] = process
        return process

    async def _until_ready(self, part: Part) -> None:
        process = self._running[part.name]
        until = time.monotonic() + part.start_within
        while not await part.ready():
            if process.returncode is not None:
                raise WorkFailed(self._failure(part, f"ended at once (exit {process.returncode})"))
            if time.monotonic() > until:
                raise WorkFailed(self._failure(part, f"was not ready within {part.start_within:.0f} s"))
            await asyncio.sleep(LOOK_EVERY)

    def _failure(self, part: Part, how: str) -> str:
        log = self._logs[part.name]
        return "\n".join([f"{part.name} {how}; the end of {log.path}:", *(f"    {line}" for line in log.tail())])

    async def _keep(self, part: Part) -> None:
        """Starts the part again whenever it dies, ever more slowly while it keeps dying."""
        deaths = 0
        born = time.monotonic()
        while True:
            process = self._running[part.name]
            code = await self._end_of(part, process, starts_until=born + part.start_within if deaths else 0.0)
            self._forget(process)
            deaths = 1 if time.monotonic() - born > self._backoff.calm else deaths + 1
            wait = self._backoff.after(deaths)
            self._say(
                f"{part.name} died ({_how(code)}), starting it again in {wait:g} s; see {self._logs[part.name].path}"
            )
            await asyncio.sleep(wait)
            async with self._turns[part.order]:
                born = time.monotonic()
                process = await self._spawn(part)
                self._say(f"{part.name} started again (pid {process.pid})")
                await self._has_started(part, process)

    async def _has_started(self, part: Part, process: Process) -> None:
        """So long the next one waits: many that start together would take the cores from those that still work."""
        until = time.monotonic() + TURN
        while process.returncode is None and time.monotonic() < until:
            if await part.ready():
                return
            await asyncio.sleep(LOOK_EVERY)

    async def _end_of(self, part: Part, process: Process, *, starts_until: float) -> int:
        """The exit code, once it ended: by itself, or killed because it was not well for too long."""
        watching = asyncio.create_task(self._watch(part, process, starts_until=starts_until))
        try:
            return await process.wait()
        finally:
            watching.cancel()

    async def _watch(self, part: Part, process: Process, *, starts_until: float) -> None:
        """What hangs, or was stopped, can only be seen from outside and would not heed a signal that asks."""
        if part.well is None:
            return
        missed = 0
        while missed < self._patience.looks:
            await asyncio.sleep(self._patience.every)
            if await part.well():
                missed, starts_until = 0, 0.0
            elif time.monotonic() > starts_until:
                missed += 1
        self._say(f"{part.name} has not been well for {self._patience.seconds:g} s and is killed")
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
        """What a dead leader left in its group would hold its port: it goes too."""
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
