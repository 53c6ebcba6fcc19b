"""A chain: the Celery task of one step works for a slice of time, then sends its successor to the process's own queue.

Links are numbered in memory, so a doubled or old message ends at once and no other process can run one. A link that
should start and does not is sent again; that a chain moves is the process's sign of life.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

import structlog

from edits.db.claims import Claim
from edits.db.sender import ScriptError
from edits.models import Step
from runtime.watchdog import Watch
from workers.clients import Clients
from workers.lease import Lease
from workers.permits import Permits
from workers.steps.adopt import Adopt
from workers.steps.poll import Poll
from workers.steps.store import Store
from workers.steps.submit import Submit
from workers.steps.sweep import Sweep
from workers.steps.work import StepWork, Work

log = structlog.get_logger()

SLICE: Final = 5.0  # seconds that a busy link works; all end at once when the process does
IDLE_SLICE: Final = 60.0  # seconds that an idle one waits, looking in between (claims.IDLE)
TICK: Final = 0.02  # seconds between claims, so that what falls due together is claimed together
TROUBLE: Final = 1.0  # seconds to wait when Redis does not answer
SENT_AGAIN_AFTER: Final = 2.0  # seconds without a link; a message is taken within milliseconds


def steps_of(clients: Clients) -> dict[Step, StepWork]:
    return {kind.step: kind(clients) for kind in (Submit, Poll, Store, Adopt, Sweep)}


@dataclass(slots=True)
class Chain:
    """Runs on the engine's loop, where nothing else changes it."""

    clients: Clients
    work: StepWork
    permits: Permits
    watch: Watch
    number: int = 1  # of the link that runs or is expected
    running: bool = False
    sent_at: float = float("-inf")  # the loop's time at which the link was sent last, or became due to be sent
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def step(self) -> Step:
        return self.work.step

    @property
    def name(self) -> str:
        return f"chain of {self.step}"

    async def run(self, number: int) -> int | None:
        """Works for link `number`. Returns the number of its successor; None if another link is expected, or none."""
        if self.running or number != self.number or self.clients.stopping():
            return None
        self.running = True
        self.watch.forget(self.name)
        try:
            await self._slice()
        finally:
            self.running = False
            self.number += 1
            self.sent(taken=False)
        return None if self.clients.stopping() else self.number

    def sent(self, *, taken: bool) -> None:
        """The broker has taken the expected link, which must start within the limit; or it was not sent yet."""
        self.sent_at = asyncio.get_running_loop().time()
        if self.running or self.clients.stopping():
            return
        if taken:
            self.watch.expect(self.name)
        else:
            self.watch.moved(self.name)

    def missing(self) -> bool:
        """Whether its link must be sent (again)."""
        return not self.running and asyncio.get_running_loop().time() >= self.sent_at + SENT_AGAIN_AFTER

    async def _slice(self) -> None:
        """Claims and works until the slice is over; an idle slice sleeps until the next due time or a wake-up.

        A slice that nothing wakes ends without another claim: the next link claims at once.
        """
        loop = asyncio.get_running_loop()
        busy_until, idle_until = loop.time() + SLICE, loop.time() + IDLE_SLICE
        while not self.clients.stopping():
            with self.watch.during(self.name):
                rest = await self._turn()
            now = loop.time()
            if rest <= TICK:
                if now >= busy_until:
                    return
                await asyncio.sleep(TICK)
            elif now >= idle_until:
                return
            else:
                woken = await self._sleep(min(rest, idle_until - now))
                if not woken and loop.time() >= idle_until:
                    return
                busy_until = max(busy_until, loop.time() + TICK)

    async def _turn(self) -> float:
        """One claim. Returns the seconds until the next one is worth it, 0 after something was claimed."""
        free = self.permits.free(self.step)
        if free <= 0:
            return TICK
        self.woken.clear()  # a wake-up during the claim counts for the sleep after it
        lease = Lease.starting(self.work.lease, margin=self.clients.settings.leases.margin)
        try:
            claims = await self.work.claim(free)
        except ScriptError as exc:
            log.warning("claim.lost", step=self.step, error=str(exc))
            return TROUBLE
        for claim in claims.claims:
            self.permits.begin(self.step, claim, self._guarded(claim, lease))
        return 0.0 if claims.claims and not claims.paced else claims.next

    async def _sleep(self, seconds: float) -> bool:
        """Waits for a wake-up, at most `seconds`. Returns whether one came."""
        if self.clients.stopping():
            return True
        try:
            return await asyncio.wait_for(self.woken.wait(), seconds)
        except TimeoutError:
            return False

    async def _guarded(self, claim: Claim, lease: Lease) -> None:
        try:
            await self.work.work(claim, lease)
        except Exception:  # the one place where a step's outcome for one edit ends
            log.exception("step.broken", step=self.step, edit_id=claim.id)
            with contextlib.suppress(ScriptError):  # then the lease brings it back
                await Work(self.clients, claim, lease).put_off(self.step)
        with contextlib.suppress(ScriptError):
            await self.clients.circuits.worked_on(claim.id)
