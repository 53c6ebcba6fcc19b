"""The provider's core: accepts tasks, has them painted and called back, and records sales."""

import asyncio
import base64
import json
import math
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from random import Random
from typing import Any

from qubico.sandbox import tasks, views, wire
from qubico.sandbox.clock import Clock
from qubico.sandbox.faults import TABLE, FaultBook
from qubico.sandbox.intake import Order
from qubico.sandbox.journal import Journal
from qubico.sandbox.ledger import Ledger
from qubico.sandbox.limits import RateLimit
from qubico.sandbox.options import SandboxOptions, changed
from qubico.sandbox.outgoing import Outgoing
from qubico.sandbox.shelf import Shelf
from qubico.sandbox.stats import Stats
from qubico.sandbox.studio.queue import Studio
from qubico.sandbox.tasks import Status, Task

SETTLE_SECONDS = 1.0


class Provider:
    """All state between two resets; takes up the tasks of an earlier run, with their times as they were planned."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.clock = Clock()
        self.ledger = Ledger()
        self.stats = Stats()
        self.faults = FaultBook()
        self.shelf = Shelf()
        self._outgoing = Outgoing()
        self.studio = Studio(self._outgoing, self.shelf)
        self._jobs: set[asyncio.Task[None]] = set()
        self._painted = asyncio.Condition()
        self._apply(options.model_dump())
        self._journal = Journal(options.data_dir)
        for task in self._journal.read():
            self.clock.advance(max(task.created - self.clock.now(), 0.0))
            self._take(task)

    async def close(self, *, forget: bool = False) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self._outgoing.close()
        self._journal.close(forget=forget)

    def change(self, patch: dict[str, Any]) -> None:
        """Changes options while running; tasks keep the times they were given."""
        self.options = changed(self.options, patch)
        self._apply(patch)

    async def advance(self, seconds: float) -> None:
        """Pushes the clock and waits (at most a second) for paintings now due, not for callbacks."""
        self.clock.advance(seconds)
        now = self.clock.now()

        def settled() -> bool:
            return all(task.worked or task.started > now for task in self.ledger.unended(now))

        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS), self._painted:
                await self._painted.wait_for(settled)

    def accept(self, order: Order, *, base: str) -> Task:
        """Buys a task, even if the answer is lost. Raises Refused for want of credit or room, or by a fault."""
        now = self.clock.now()
        if self.ledger.balance(now) < self.options.price:
            raise wire.Refused(wire.error(402, "insufficient credits"))
        self._check_room(now)
        drawn = self.faults.draw(order.prompt, seed=order.input["seed"], rates=self.options.fault_rates)
        for fault in map(TABLE.__getitem__, drawn):
            if fault.stage == "refuse" and fault.answer:
                raise wire.Refused(fault.answer())
        task = tasks.plan(
            order,
            now=now,
            base=base,
            faults=drawn,
            options=self.options,
            random=self.random,
        )
        self._journal.write(task)
        self._take(task)
        return task

    async def show(self, task: Task, *, reading: bool = False, claim: Status | None = None) -> dict[str, Any]:
        now = self.clock.now()
        status = claim or task.status(now)
        output = {"image_base64": "", "image_url": ""}
        if status == "completed":
            hidden = "no_address" in task.faults or task.faults.get("no_address_once", 0) >= 1
            if reading:
                task.spend("no_address_once")
            if "base64" not in task.faults:
                output["image_url"] = "" if hidden else task.address
            elif not claim:
                output["image_base64"] = base64.b64encode(await self.studio.picture(task)).decode()
        return views.task_data(task, status, now, self.options, output)

    async def call_back_early(self, task: Task) -> None:
        """Before the create is answered, which waits for it."""
        if task.called_back:
            await self._post(task, await self._callback(task, claim="completed"))

    def _apply(self, patch: dict[str, Any]) -> None:
        options = self.options
        if "balance_usd" in patch:
            self.ledger.refill(options.balance_usd, self.clock.now())
        if "next_faults" in patch:
            self.faults.coming = Counter(options.next_faults)
        if "seed" in patch:
            self.random = Random(options.seed)  # noqa: S311 - repeatable on purpose
            self.faults.random = Random(f"faults {options.seed}")  # noqa: S311 - repeatable on purpose
        if {"creates_per_second", "reads_per_second", "burst"} & patch.keys():
            self.creates = RateLimit(per_second=options.creates_per_second, burst=options.burst)
            self.reads = RateLimit(per_second=options.reads_per_second, burst=options.burst)

    def _check_room(self, now: float) -> None:
        """Raises Refused if too many tasks run already."""
        cap = self.options.max_concurrent
        if cap and sum(task.status(now) != "staged" for task in self.ledger.unended(now)) >= cap:
            self.stats.counts["throttled_creates"] += 1
            raise wire.Refused(wire.throttled())

    def _take(self, task: Task) -> None:
        self.ledger.add(task)
        if not task.over(self.clock.now()) and (task.called_back or not task.worked):
            self._spawn(self._run(task))

    async def _run(self, task: Task) -> None:
        await self.clock.until(task.started)
        if self.options.callback_processing and task.started < task.ended:
            self._spawn(self._call_back(task, claim="processing"))
        if not task.worked:
            failure = await self.studio.work(task)
            task.finish(self.clock.now(), failure)
            self._journal.write(task)
            async with self._painted:
                self._painted.notify_all()
        if task.ended < math.inf:
            await self.clock.until(task.ended)
            await self._call_back(task)

    async def _call_back(self, task: Task, *, claim: Status | None = None) -> None:
        if task.called_back:
            body = await self._callback(task, claim=claim)
            times = 2 if "callback_double" in task.faults else 1
            await asyncio.gather(*(self._deliver(task, body) for _ in range(times)))

    async def _callback(self, task: Task, *, claim: Status | None) -> bytes:
        data = await self.show(task, claim=claim)
        return json.dumps({"timestamp": int(self.clock.now()), "data": data}).encode()

    async def _deliver(self, task: Task, body: bytes) -> None:
        """The body stays that of the first attempt: a repeat may be outdated."""
        for attempt in range(self.options.callback_attempts):
            if attempt:
                await self.clock.until(self.clock.now() + self.options.callback_interval)
            if await self._post(task, body):
                return
        self.stats.counts["callbacks_given_up"] += 1

    async def _post(self, task: Task, body: bytes) -> bool:
        taken = await self._outgoing.callback(task.order.endpoint, task.order.secret, body)
        self.stats.counts["callbacks_delivered" if taken else "callbacks_refused"] += 1
        return taken

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
