"""The engine of a worker process: one event loop in its own thread, with clients, permits and the work in hand.

Celery's tasks are doors into it: they come in through `call` and never block the loop.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import structlog
import uvloop

from config.settings import Settings
from edits.connection import LOST
from edits.schedule import HEARTBEAT, Claim, Claims, Link, Step
from edits.scripting import ScriptError
from workers import broken
from workers.adopt import Adopt
from workers.clients import Clients, open_clients
from workers.lease import Lease
from workers.poll import Poll
from workers.status import serve_status
from workers.store import Store
from workers.submit import Submit
from workers.sweep import Sweep

log = structlog.get_logger()

Answer = TypeVar("Answer")

PERMITS: Final = {Step.SUBMIT: 64, Step.POLL: 128, Step.STORE: 16, Step.ADOPT: 50, Step.SWEEP: 8}
"""How many claims of a step a process works on at once. Results are streamed, so 16 copies hold some 16 MiB."""


class StepWork(Protocol):
    """One step of the way of an edit: claims what is due and works on each claim."""

    step: Any

    @property
    def lease(self) -> Any: ...
    async def claim(self, most: int) -> Claims: ...
    async def work(self, claim: Claim, lease: Lease) -> None: ...


@dataclass
class Engine:
    settings: Settings
    steps: list[Step]
    start_chain: Callable[[Link], None]
    metrics_port: int | None = None
    running: set[Link] = field(default_factory=set)
    stopping: bool = False
    _in_hand: dict[Step, set["asyncio.Task[None]"]] = field(default_factory=dict)
    _wakes: dict[Step, asyncio.Event] = field(default_factory=dict)
    _ready: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Runs the loop in its thread; returns when the clients are open."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()
        if not self._ready.wait(30) or not self._thread.is_alive():
            raise RuntimeError("the engine did not start, see the log")

    def call(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """Runs it on the engine's loop; for Celery's threads."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def stop(self) -> None:
        """No new claims: slices and idle waits end, creates in hand are finished."""
        self.stopping = True
        self.loop.call_soon_threadsafe(self.wake_all)

    def close(self) -> None:
        """After `stop`: waits for the work in hand, says good-bye, ends the thread."""
        self.loop.call_soon_threadsafe(self._finished.set)
        self._thread.join(self.settings.shutdown_grace.total_seconds() + 5)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._finished = asyncio.Event()
        self._wakes = {step: asyncio.Event() for step in self.steps}
        self._in_hand = {step: set() for step in self.steps}
        async with open_clients(self.settings, stopping=lambda: self.stopping) as clients, self._background(clients):
            self.clients = clients
            self.work = _steps(clients)
            self._ready.set()
            await self._finished.wait()
            await self._drain()
            with contextlib.suppress(ScriptError):
                await clients.schedule.heartbeat(self.steps, [], counts=clients.requests, leave=True)

    @contextlib.asynccontextmanager
    async def _background(self, clients: Clients) -> AsyncIterator[None]:
        async with serve_status(self, clients, port=self.metrics_port):
            tasks = [asyncio.create_task(self._heartbeats(clients)), asyncio.create_task(self._listen(clients))]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def free(self, step: Step) -> int:
        return PERMITS[step] - len(self._in_hand[step])

    def spawn(self, step: Step, claim: Claim, lease: Lease) -> None:
        """Works on a claim; it may outlive the slice that made it, so that one slow answer holds no chain."""
        task = asyncio.create_task(self._guarded(step, claim, lease))
        self._in_hand[step].add(task)
        task.add_done_callback(self._in_hand[step].discard)

    async def _guarded(self, step: Step, claim: Claim, lease: Lease) -> None:
        try:
            await self.work[step].work(claim, lease)
        except Exception:  # the one place where a step's outcome for one edit ends
            log.exception("step.broken", step=step, edit_id=claim.id)
            with contextlib.suppress(ScriptError):  # then the lease brings it back
                await broken.put_off(self.clients, step, claim, lease)

    def forget_wakes(self, step: Step) -> None:
        """Called before a claim: a wake-up that comes from now on counts for the sleep after it."""
        if not self.stopping:
            self._wakes[step].clear()

    async def sleep(self, step: Step, seconds: float) -> None:
        """Until somebody wakes this step, at most so long."""
        event = self._wakes[step]
        if not self.stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), seconds)

    def wake_all(self) -> None:
        for event in self._wakes.values():
            event.set()

    async def _heartbeats(self, clients: Clients) -> None:
        while True:
            counts = +clients.requests  # without those that are zero
            try:
                missing = await clients.schedule.heartbeat(self.steps, list(self.running), counts=counts)
                clients.requests.subtract(counts)
            except ScriptError as exc:
                log.warning("heartbeat.lost", error=str(exc))
                missing = []
            for link in [] if self.stopping else missing:
                log.info("chain.started", step=link.step, slot=link.slot, number=link.number)
                await asyncio.to_thread(self.start_chain, link)
            await asyncio.sleep(HEARTBEAT.total_seconds())

    async def _listen(self, clients: Clients) -> None:
        """Wake-ups are only hints, lost while the connection is: after each (re)subscription everybody looks."""
        channel = f"{self.settings.namespace}:wake"
        while True:
            try:
                async with clients.repository.redis.pubsub(ignore_subscribe_messages=True) as listener:
                    await listener.subscribe(channel)
                    self.wake_all()
                    while True:
                        message = await listener.get_message(timeout=10)
                        if message is not None and message["data"] in self._wakes:
                            self._wakes[Step(message["data"])].set()
            except LOST as exc:
                log.warning("wakeups.lost", error=type(exc).__name__)
                await asyncio.sleep(1)

    async def _drain(self) -> None:
        left = [task for tasks in self._in_hand.values() for task in tasks]
        if left:
            await asyncio.wait(left, timeout=self.settings.shutdown_grace.total_seconds())


def _steps(clients: Clients) -> dict[Step, StepWork]:
    return {
        Step.SUBMIT: Submit(clients),
        Step.POLL: Poll(clients),
        Step.STORE: Store(clients),
        Step.ADOPT: Adopt(clients),
        Step.SWEEP: Sweep(clients),
    }
