"""The provider's core: accepts tasks, has them painted and called back, and records sales."""

import asyncio
import base64
from collections import Counter
from collections.abc import Awaitable
from random import Random
from typing import Any

from qubico.sandbox import tasks, wire
from qubico.sandbox.callbacks import Callbacks
from qubico.sandbox.clock import Clock
from qubico.sandbox.faults import FaultBook
from qubico.sandbox.intake import Order
from qubico.sandbox.journal import Journal
from qubico.sandbox.ledger import Ledger
from qubico.sandbox.limits import RateLimit
from qubico.sandbox.options import SandboxOptions, changed
from qubico.sandbox.stats import Stats
from qubico.sandbox.studio.queue import Studio
from qubico.sandbox.tasks import Status, Task
from qubico.sandbox.timeline import Timeline

MAX_STAGED = 50
SETTLE_SECONDS = 1.0


class Provider:
    options: SandboxOptions
    clock: Clock
    ledger: Ledger
    stats: Stats
    faults: FaultBook
    timeline: Timeline
    studio: Studio
    callbacks: Callbacks

    def __init__(self, options: SandboxOptions) -> None:
        self._at_start = options
        self._jobs: set[asyncio.Future[None]] = set()
        self._painting: set[asyncio.Future[None]] = set()
        self.journal = Journal(options.data_dir)
        self._open(options)

    def start(self) -> None:
        """Takes up the tasks of an earlier run, with their times as they were planned."""
        for task in self.journal.read():
            self.clock.advance(max(task.created - self.clock.now(), 0.0))
            self.ledger.add(task)
            if not task.over(self.clock.now()):
                self._schedule(task)

    async def close(self) -> None:
        self.timeline.stop()
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.studio.close()
        self.journal.close()

    async def reset(self, patch: dict[str, Any]) -> None:
        """Forgets everything; options are those of the start with these changes."""
        options = changed(self._at_start, patch)
        await self.close()
        self.journal.forget()
        self._open(options)

    def change(self, patch: dict[str, Any]) -> None:
        """Changes options while running; tasks keep the times they were given."""
        old = self.options
        now = self.options = changed(old, patch)
        self.studio.plain_bytes = now.plain_bytes
        if "balance_usd" in patch:
            self.ledger.refill(now.balance_usd, self.clock.now(), refund_failed=now.refund_failed)
        if "next_faults" in patch:
            self.faults.coming = Counter(now.next_faults)
        if "seed" in patch:
            self._sow(now.seed)
        if (now.creates_per_second, now.burst) != (old.creates_per_second, old.burst):
            self.creates = RateLimit(per_second=now.creates_per_second, burst=now.burst)
        if (now.reads_per_second, now.burst) != (old.reads_per_second, old.burst):
            self.reads = RateLimit(per_second=now.reads_per_second, burst=now.burst)

    async def advance(self, seconds: float) -> None:
        """Pushes the clock and waits (at most a second) for paintings now due, not for callbacks."""
        self.clock.advance(seconds)
        self.timeline.wake()
        if self._painting:
            await asyncio.wait(self._painting, timeout=SETTLE_SECONDS)

    def room(self, now: float) -> float | None:
        """When a task accepted now leaves `staged` (`now`: at once); None: too many run already."""
        cap = self.options.max_concurrent
        if not cap or self.ledger.in_flight(now) < cap:
            return now
        if self.options.over_concurrent == "refuse" or self.ledger.staged(now) >= MAX_STAGED:
            return None
        return self.ledger.free_at(now, cap=cap)

    def accept(self, order: Order, *, now: float, staged_until: float, base: str, faults: dict[str, float]) -> Task:
        """Buys the task, even if the answer is lost."""
        task = tasks.plan(
            order,
            number=len(self.ledger.tasks) + 1,
            now=now,
            staged_until=staged_until,
            base=base,
            faults=faults,
            options=self.options,
            random=self._random,
        )
        self.journal.accepted(task)
        self.ledger.add(task)
        self.stats.running(self.ledger.in_flight(now))
        self._schedule(task)
        return task

    async def show(
        self, task: Task, now: float, *, reading: bool = False, claim: Status | None = None
    ) -> dict[str, Any]:
        picture = address = ""
        if (claim or task.status(now)) == "completed":
            hidden = task.has("no_address") or task.faults.get("no_address_once", 0) >= 1
            if reading:
                task.spend("no_address_once")
            if task.has("base64"):
                picture = "" if claim else base64.b64encode(await self.studio.picture(task)).decode()
            elif not hidden:
                address = task.address
        return wire.task_data(task, now, self.options, picture=picture, address=address, claim=claim)

    def balance(self, now: float) -> int:
        return self.ledger.balance(now, refund_failed=self.options.refund_failed)

    def _open(self, options: SandboxOptions) -> None:
        self.options = options
        self.clock = Clock()
        self.ledger = Ledger(balance_usd=options.balance_usd)
        self.stats = Stats()
        self.faults = FaultBook()
        self.faults.coming = Counter(options.next_faults)
        self._sow(options.seed)
        self.creates = RateLimit(per_second=options.creates_per_second, burst=options.burst)
        self.reads = RateLimit(per_second=options.reads_per_second, burst=options.burst)
        self.timeline = Timeline(self.clock)
        self.studio = Studio(plain_bytes=options.plain_bytes)
        self.callbacks = Callbacks(
            clock=self.clock,
            timeline=self.timeline,
            stats=self.stats,
            options=lambda: self.options,
            session=self.studio.session,
            spawn=self._spawn,
        )

    def _sow(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose
        self.faults.random = Random(f"faults {seed}")  # noqa: S311 - repeatable on purpose

    def _schedule(self, task: Task) -> None:
        """Does nothing for a task without a picture or a webhook."""
        called = self.callbacks.wanted(task)
        if not task.worked:
            self.timeline.at(task.started, lambda: self._paint(task))
        elif called:
            self._tell_end_in_time(task)
        if called and self.options.callback_processing and task.started < task.ended:
            self.timeline.at(task.started, lambda: self._spawn(self._tell(task, claim="processing")))

    def _paint(self, task: Task) -> None:
        job = self._spawn(self._work(task))
        self._painting.add(job)
        job.add_done_callback(self._painting.discard)

    async def _work(self, task: Task) -> None:
        failure = await self.studio.work(task)
        task.finish(self.clock.now(), failure)
        self.ledger.moved(task)
        self.journal.finished(task)
        if self.callbacks.wanted(task):
            self._tell_end_in_time(task)

    def _tell_end_in_time(self, task: Task) -> None:
        if task.ended != float("inf"):
            self.timeline.at(task.ended, lambda: self._spawn(self._tell(task)))

    async def _tell(self, task: Task, *, claim: Status | None = None) -> None:
        await self.callbacks.send(task, await self.show(task, self.clock.now(), claim=claim))

    def _spawn(self, work: Awaitable[None]) -> asyncio.Future[None]:
        job = asyncio.ensure_future(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job
