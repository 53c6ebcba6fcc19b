"""The engine of a worker process: one event loop in its own thread, with the clients and a chain for each step.

Celery's tasks enter it through `follow` and never block the loop.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog
import uvloop

from config.settings import Settings
from edits.db import checks
from edits.db.clock import boot_time
from edits.db.connection import LOST
from edits.db.keys import Key
from edits.db.sender import ScriptError
from edits.db.workers import HEARTBEAT
from edits.errors import RedisUnfit, Unavailable
from edits.models import Step
from runtime import garbage, watchdog
from runtime.watchdog import LOOP, Watch
from workers.chains import Chain, steps_of
from workers.clients import Clients, open_clients
from workers.health import serve_status
from workers.permits import HANDED_BACK_WITHIN, Permits

log = structlog.get_logger()

FITNESS_EVERY: Final = 30  # heartbeats, a minute: whether Redis may still keep edits
OVERSLEPT: Final = 10.0  # seconds between two heartbeats: this process or its whole machine stood still
LOOKED_AFTER: Final = 0.5  # seconds between two looks for a missing link
UNFIT: Final = 2  # exit code, the same as at the start


@dataclass
class Engine:
    """`send_link` puts link `number` of a step on this process's queue; False: the broker took no message."""

    settings: Settings
    steps: list[Step]
    send_link: Callable[[Step, int], bool]
    metrics_port: int | None = None
    end: Callable[[int], None] = lambda _code: None  # ends the process with this exit code, as a signal would
    stopping: bool = False
    chains: dict[Step, Chain] = field(default_factory=dict)
    permits: Permits = field(default_factory=Permits)
    _ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.watch = Watch(self.settings.stall_limit)
        self._senders = ThreadPoolExecutor(max(len(self.steps), 1), thread_name_prefix="chain")

    def start(self) -> None:
        """Runs the loop in its thread; returns when the clients are open."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()
        if not self._ready.wait(30) or not self._thread.is_alive():
            raise RuntimeError("the engine did not start, see the log")
        self.watch.begin(self.loop, ended=self._stalled)

    def follow(self, step: Step, number: int) -> None:
        """Runs a link, then sends its successor. Blocks; for Celery's threads."""
        if step in self.chains:
            self._send(self.chains[step], self._work(self.chains[step], number))

    def stop(self) -> None:
        """No new claims: slices and idle waits end, creates in work are finished. The second time it hurries."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self.permits.hurry if self.stopping else self._wind_down)
        self.stopping = True

    def close(self) -> None:
        """After `stop`: waits for the work, leaves the worker registry, ends the thread."""
        self.loop.call_soon_threadsafe(self._finished.set)
        self._thread.join(self.settings.shutdown_grace.total_seconds() + 5)
        self.watch.close()
        self._senders.shutdown(wait=False)

    def wake_all(self) -> None:
        for chain in self.chains.values():
            chain.woken.set()

    def health(self) -> dict[str, Any]:
        """`status`: ok, stopping or stalled. `chains`: how many run now. `stalled`: names of what has stalled."""
        stalled = self.watch.unwell()
        status = "stalled" if stalled else "stopping" if self.stopping else "ok"
        running = sum(chain.running for chain in self.chains.values())
        return {"status": status, "chains": running, "stalled": stalled}

    def _work(self, chain: Chain, number: int) -> int | None:
        """Runs a link on the loop. Returns the number of its successor, None if there is none."""
        if self.stopping:
            return None
        try:
            return asyncio.run_coroutine_threadsafe(chain.run(number), self.loop).result()
        except CancelledError:  # the loop ends
            return None

    def _send(self, chain: Chain, number: int | None) -> None:
        """Sends a link. While the broker takes no messages, this thread runs link after link itself."""
        while number is not None:
            taken = self.send_link(chain.step, number)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self.loop.call_soon_threadsafe(partial(chain.sent, taken=taken))
            if taken:
                return
            number = self._work(chain, number)

    def _wind_down(self) -> None:
        for chain in self.chains.values():
            self.watch.forget(chain.name)
        self.wake_all()

    def _stalled(self, what: list[str]) -> None:
        """In the watch's thread: hands back claims, and ends the process."""
        watchdog.tell(what, self.watch.limit)
        if LOOP not in what:
            self.stop()
            self.close()
        watchdog.end_now()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._finished, self._registered = asyncio.Event(), asyncio.Event()
        async with (
            open_clients(self.settings, stopping=lambda: self.stopping) as clients,
            _nothing_else_at_the_end(),
            self._background(clients),
        ):
            garbage.settle()
            self._ready.set()
            await self._finished.wait()
            # The rest of the grace is for the last messages to Redis.
            grace = self.settings.shutdown_grace.total_seconds() - 2 * HANDED_BACK_WITHIN
            await self.permits.drain(clients.outcomes, within=max(grace, 1.0))
            with contextlib.suppress(ScriptError):
                await clients.registry.heartbeat(self.steps, counts=clients.requests, leave=True)

    @contextlib.asynccontextmanager
    async def _background(self, clients: Clients) -> AsyncIterator[None]:
        work = steps_of(clients)
        self.chains = {step: Chain(clients, work[step], self.permits, self.watch) for step in self.steps}
        async with serve_status(clients, self.health, port=self.metrics_port):
            kept = [partial(self._heartbeats, clients), partial(self._listen, clients)]
            kept += [partial(self._keep_sent, chain) for chain in self.chains.values()]
            tasks = [asyncio.create_task(_kept(keep)) for keep in kept]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_sent(self, chain: Chain) -> None:
        """Sends the first link of a chain, and again each one that does not start."""
        await self._registered.wait()
        while not self.stopping:
            if chain.missing():
                log.info("chain.link_sent", step=chain.step, number=chain.number)
                await self.loop.run_in_executor(self._senders, self._send, chain, chain.number)
            await asyncio.sleep(LOOKED_AFTER)

    async def _heartbeats(self, clients: Clients) -> None:
        fit_for = 0  # heartbeats until Redis is looked at again; it may be another one each time it was away
        while True:
            shut = clients.registry.shut
            try:
                await clients.registry.heartbeat(self.steps, counts=clients.requests)
                if fit_for <= 0:
                    await checks.require_fit(clients.repository.redis)
                    fit_for = FITNESS_EVERY
                fit_for -= 1
                self._registered.set()
            except RedisUnfit as exc:
                log.error("redis.unfit", error=str(exc))  # noqa: TRY400 - the message says it all
                self.end(UNFIT)
                return
            except (ScriptError, Unavailable) as exc:
                log.warning("heartbeat.lost", error=str(exc))
                self.watch.excuse()
                fit_for = 0
            if clients.registry.shut != shut:
                self.wake_all()
            await self._until_next_heartbeat()

    async def _until_next_heartbeat(self) -> None:
        """Chains sleep by a clock that stands still with the machine, so they are woken when that goes on."""
        began = boot_time()
        await asyncio.sleep(HEARTBEAT.total_seconds())
        if boot_time() - began > OVERSLEPT:
            self.wake_all()

    async def _listen(self, clients: Clients) -> None:
        """Wake-ups are only hints, lost with the connection: after each (re)subscription all chains are woken."""
        everybody = Key.WAKE.of(self.settings.namespace)
        while True:
            try:
                async with clients.repository.redis.pubsub(ignore_subscribe_messages=True) as listener:
                    await listener.subscribe(everybody, f"{everybody}:{clients.registry.process}")
                    self.wake_all()
                    while True:
                        message = await listener.get_message(timeout=10)
                        if message is not None:
                            self._heard(message["data"], clients)
            except LOST as exc:
                log.warning("wakeups.lost", error=type(exc).__name__)
                await asyncio.sleep(1)

    def _heard(self, what: str, clients: Clients) -> None:
        if what in self.chains:
            self.chains[Step(what)].woken.set()
        elif what == "open":
            clients.circuits.create.opened()


@contextlib.asynccontextmanager
async def _nothing_else_at_the_end() -> AsyncIterator[None]:
    """Cancels running tasks while the clients are open: later they would open connections that are never closed."""
    yield
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


async def _kept(keep: partial[Coroutine[Any, Any, None]]) -> None:
    """Runs it until it returns. Logs unexpected errors and restarts it."""
    while True:
        try:
            await keep()
        except Exception:
            log.exception("engine.broke", error=keep.func.__name__)
            await asyncio.sleep(HEARTBEAT.total_seconds())
        else:
            return
