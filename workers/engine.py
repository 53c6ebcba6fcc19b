"""The engine of a worker process: one event loop in its own thread, with clients, permits and the work in hand.

Celery's tasks are doors into it: they come in through `call` and never block the loop.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import structlog
import uvloop

from config.settings import Settings
from edits.db import checks
from edits.db.claims import Claim, Claims
from edits.db.clock import boot_time
from edits.db.connection import LOST
from edits.db.keys import Key
from edits.db.schedule import HEARTBEAT, Link
from edits.db.sender import ScriptError
from edits.errors import RedisUnfit, Unavailable
from edits.models import Step
from runtime import garbage, watchdog
from runtime.watchdog import LOOP, Watch
from workers.clients import Clients, open_clients
from workers.health import serve_status
from workers.lease import Lease
from workers.permits import HANDED_BACK_WITHIN, InHand
from workers.pulse import Pulse
from workers.steps import unhandled
from workers.steps.adopt import Adopt
from workers.steps.poll import Poll
from workers.steps.store import Store
from workers.steps.submit import Submit
from workers.steps.sweep import Sweep

log = structlog.get_logger()

Answer = TypeVar("Answer")

FITNESS_EVERY: Final = 30  # heartbeats, a minute: whether Redis may still keep edits
OVERSLEPT: Final = 10.0  # seconds that a heartbeat's pause took: this process or its whole machine stood still
UNFIT: Final = 2  # exit code, the same as at the start


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
    send_pulse: Callable[[], bool] | None = None
    """Puts a message on the queue of this process alone; False: the broker is away. None: there is no consumer."""

    end: Callable[[int], None] = lambda _code: None
    """Ends the process with this exit code, as a signal would."""

    running: set[Link] = field(default_factory=set)
    stopping: bool = False
    in_hand: InHand = field(default_factory=InHand)
    watchdog: Watch = field(init=False)
    _wakes: dict[Step, asyncio.Event] = field(default_factory=dict)
    _ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.watch = Watch(self.settings.stall_limit)

    def start(self) -> None:
        """Runs the loop in its thread; returns when the clients are open."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()
        if not self._ready.wait(30) or not self._thread.is_alive():
            raise RuntimeError("the engine did not start, see the log")
        self.watch.begin(beat=self._beat, ended=self._stalled)

    def call(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """Runs it on the engine's loop; for Celery's threads."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def stop(self) -> None:
        """No new claims: slices and idle waits end, creates in hand are finished. The second time it hurries."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self.in_hand.hurry if self.stopping else self.wake_all)
        self.stopping = True

    def close(self) -> None:
        """After `stop`: waits for the work in hand, says good-bye, ends the thread."""
        self.loop.call_soon_threadsafe(self._finished.set)
        self._thread.join(self.settings.shutdown_grace.total_seconds() + 5)
        self.watch.close()

    def _beat(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self.watch.moved, LOOP)

    def _stalled(self, what: list[str]) -> None:
        """In the thread of the watch: hands back what it can, and ends the process."""
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
        self._finished = asyncio.Event()
        self._wakes = {step: asyncio.Event() for step in self.steps}
        async with (
            open_clients(self.settings, stopping=lambda: self.stopping) as clients,
            _nothing_else_at_the_end(),
            self._background(clients),
        ):
            self.clients = clients
            self.work = steps_of(clients)
            garbage.settle()
            self._ready.set()
            await self._finished.wait()
            await self.in_hand.drain(clients.outcomes, within=self._grace())
            with contextlib.suppress(ScriptError):
                await clients.schedule.heartbeat(self.steps, [], counts=clients.requests, leave=True)

    @contextlib.asynccontextmanager
    async def _background(self, clients: Clients) -> AsyncIterator[None]:
        async with serve_status(self, clients, port=self.metrics_port):
            kept = [self._heartbeats, self._listen] + ([Pulse(self).send] if self.send_pulse else [])
            tasks = [asyncio.create_task(_kept(keep, clients)) for keep in kept]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def free(self, step: Step) -> int:
        return self.in_hand.free(step)

    def spawn(self, step: Step, claim: Claim, lease: Lease) -> None:
        self.in_hand.begin(step, claim, self._guarded(step, claim, lease))

    async def _guarded(self, step: Step, claim: Claim, lease: Lease) -> None:
        try:
            await self.work[step].work(claim, lease)
        except Exception:  # the one place where a step's outcome for one edit ends
            log.exception("step.broken", step=step, edit_id=claim.id)
            with contextlib.suppress(ScriptError):  # then the lease brings it back
                await unhandled.put_off(self.clients, step, claim, lease)
        with contextlib.suppress(ScriptError):
            await self.clients.circuits.worked_on(claim.id)

    def forget_wakes(self, step: Step) -> None:
        """Called before a claim: a wake-up that comes from now on counts for the sleep after it."""
        if not self.stopping:
            self._wakes[step].clear()

    async def sleep(self, step: Step, seconds: float) -> bool:
        """Until somebody wakes this step, at most so long; whether it was woken."""
        if self.stopping:
            return True
        try:
            return await asyncio.wait_for(self._wakes[step].wait(), seconds)
        except TimeoutError:
            return False

    def wake_all(self) -> None:
        for event in self._wakes.values():
            event.set()

    async def _heartbeats(self, clients: Clients) -> None:
        fit_for = 0  # heartbeats until Redis is looked at again; it may be another one each time it was away
        while True:
            shut = clients.schedule.shut
            try:
                missing = await clients.schedule.heartbeat(self.steps, list(self.running), counts=clients.requests)
                if fit_for <= 0:
                    await checks.require_fit(clients.repository.redis)
                    fit_for = FITNESS_EVERY
                fit_for -= 1
            except RedisUnfit as exc:
                log.error("redis.unfit", error=str(exc))  # noqa: TRY400 - the message says it all
                self.end(UNFIT)
                return
            except (ScriptError, Unavailable) as exc:
                log.warning("heartbeat.lost", error=str(exc))
                self.watch.excuse()
                fit_for, missing = 0, []
            for link in [] if self.stopping else missing:
                log.info("chain.started", step=link.step, slot=link.slot, number=link.number)
                await asyncio.to_thread(self.start_chain, link)
            if clients.schedule.shut != shut:
                self.wake_all()
            await self._until_next_beat()

    async def _until_next_beat(self) -> None:
        """Chains sleep by a clock that stands still with the machine: they look when that goes on again."""
        began = boot_time()
        await asyncio.sleep(HEARTBEAT.total_seconds())
        if boot_time() - began > OVERSLEPT:
            self.wake_all()

    async def _listen(self, clients: Clients) -> None:
        """Wake-ups are only hints, lost while the connection is: after each (re)subscription everybody looks."""
        everybody = Key.WAKE.of(self.settings.namespace)
        while True:
            try:
                async with clients.repository.redis.pubsub(ignore_subscribe_messages=True) as listener:
                    await listener.subscribe(everybody, f"{everybody}:{clients.schedule.process}")
                    self.wake_all()
                    while True:
                        message = await listener.get_message(timeout=10)
                        if message is not None:
                            self._heard(message["data"], clients)
            except LOST as exc:
                log.warning("wakeups.lost", error=type(exc).__name__)
                await asyncio.sleep(1)

    def _heard(self, what: str, clients: Clients) -> None:
        if what in self._wakes:
            self._wakes[Step(what)].set()
        elif what == "shut":
            clients.circuits.create.shut()

    def _grace(self) -> float:
        """What may be used of it: the rest is for the good-bye, before whoever waits for us loses patience."""
        return max(self.settings.shutdown_grace.total_seconds() - 2 * HANDED_BACK_WITHIN, 1.0)


@contextlib.asynccontextmanager
async def _nothing_else_at_the_end() -> AsyncIterator[None]:
    """Ends what still runs while the clients are open: later it would open connections that nobody closes."""
    yield
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


async def _kept(keep: Callable[[Clients], Awaitable[None]], clients: Clients) -> None:
    """For as long as the engine runs: what nobody foresaw is logged, and it begins anew."""
    while True:
        try:
            await keep(clients)
        except Exception:
            log.exception("engine.broke", error=keep.__name__)
            await asyncio.sleep(HEARTBEAT.total_seconds())
        else:
            return


def steps_of(clients: Clients) -> dict[Step, StepWork]:
    return {
        Step.SUBMIT: Submit(clients),
        Step.POLL: Poll(clients),
        Step.STORE: Store(clients),
        Step.ADOPT: Adopt(clients),
        Step.SWEEP: Sweep(clients),
    }
