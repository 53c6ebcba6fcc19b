"""Step adopt: looks for the task of a create whose answer was lost. Buys again only what provably was not bought."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from edits import retry
from edits.attempts import Attempt
from edits.clock import boot_time
from edits.freshness import Completeness
from edits.models import PRICE_UNITS, CostState, EditError, ErrorKind, Wait, from_ms
from edits.schedule import Claim, Claims, Step
from qubico import errors
from workers.clients import Clients
from workers.history import CLOCKS, History, Incomplete, Unreadable, attempt_of
from workers.lease import Lease
from workers.limits import reading

log = structlog.get_logger()

UNREADABLE_FOR: Final = timedelta(minutes=5)  # after the quiet period; a task may be listed before it can be read


@dataclass(slots=True)
class Adopt:
    clients: Clients
    step = Step.ADOPT
    history: History = field(init=False)

    def __post_init__(self) -> None:
        self.history = History(self.clients)

    @property
    def lease(self) -> timedelta:
        return self.clients.settings.leases.adopt_lease

    async def claim(self, most: int) -> Claims:
        return await self.clients.schedule.claim_due(
            Step.ADOPT, most, lease=self.lease, wakes=Step.ADOPT, with_input=False
        )

    async def work(self, claim: Claim, lease: Lease) -> None:
        if await self._take_candidate(claim, lease):
            return
        quiet = self.clients.settings.qubico.unknown_quiet_period
        began_after_quiet = self._since_submit(claim, lease) > quiet
        sent_at = from_ms(claim.moment("sa"))
        try:
            history = await self.history.look(sent_at)
        except Incomplete as exc:
            log.warning("history.incomplete", edit_id=claim.id, cause=str(exc))
            if isinstance(exc, Unreadable) and self._since_submit(claim, lease) > quiet + UNREADABLE_FOR:
                await self._undecidable(claim, lease)
            else:
                await self._again(claim, lease)
            return
        if await self._take(claim, lease, self.history.tasks_of(self._attempt(claim)), how="history"):
            return
        if not began_after_quiet:
            await self._again(claim, lease)
        elif claim.may_buy_anew or self._provably_absent(claim, history):
            await self._absent(claim, lease)
        else:
            await self._undecidable(claim, lease)

    def _since_submit(self, claim: Claim, lease: Lease) -> timedelta:
        claimed_at = claim.moment("li") - self.lease.total_seconds() * 1000
        return timedelta(milliseconds=claimed_at - claim.moment("sa"), seconds=boot_time() - lease.began)

    def _attempt(self, claim: Claim) -> Attempt:
        """The attempt whose create was lost; a person's `retry` has raised the number since."""
        return Attempt(claim.id, claim.attempt - (1 if claim.may_buy_anew else 0))

    def _provably_absent(self, claim: Claim, history: Completeness) -> bool:
        """The scan was complete and begun after the quiet period; it also shows creates as late as this one."""
        if self.history.may_hide_ours_after(from_ms(claim.moment("sa")) - CLOCKS):
            return False
        leases = self.clients.settings.leases
        on_its_way = (leases.send_window + leases.create_timeout).total_seconds() * 1000
        return history.covers(round(claim.moment("sa") + on_its_way))

    async def _take_candidate(self, claim: Claim, lease: Lease) -> bool:
        """A callback named a task: believed only after it was read and shows this attempt's token."""
        task_id = claim.long.get("cand")
        if not task_id:
            return False
        try:
            async with reading(self.clients):
                task = await self.clients.qubico.get(task_id)
        except errors.QubicoError:
            return False
        if attempt_of(self.clients, task) != self._attempt(claim):
            return False
        return await self._take(claim, lease, [task_id], how="callback")

    async def _take(self, claim: Claim, lease: Lease, task_ids: list[str], *, how: str) -> bool:
        for task_id in task_ids:
            bought = partial(
                self.clients.outcomes.bought,
                claim.id,
                attempt=claim.attempt,
                task_id=task_id,
                units=PRICE_UNITS,
                status="pending",
                first_look=0,
                how=how,
            )
            answer = await lease.decide(bought)
            log.info("edit.adopted", edit_id=claim.id, task_id=task_id, how=how, outcome=answer)
        return bool(task_ids)

    async def _again(self, claim: Claim, lease: Lease) -> None:
        delay = retry.ADOPT.delay(claim.tries, self.clients.jitter) or retry.ADOPT.most
        await lease.decide(lambda: self.clients.outcomes.snooze(claim, delay=delay, tries=claim.tries + 1))

    async def _undecidable(self, claim: Claim, lease: Lease) -> None:
        if claim.may_buy_anew:
            await self._absent(claim, lease)
            return
        text = "The answer of the provider was lost, and whether it took the task cannot be told."
        await self._unknown(claim, lease, text, CostState.UNKNOWN)

    async def _absent(self, claim: Claim, lease: Lease) -> None:
        """Provably not there, or a person asked for it again knowing that it may be: sent again."""
        if self.clients.settings.qubico.unknown_submit == "adopt_or_fail" and not claim.may_buy_anew:
            text = "The answer of the provider was lost; it did not take the task, and by setting it is not sent again."
            await self._unknown(claim, lease, text, CostState.RELEASED)
            return
        await lease.decide(lambda: self.clients.outcomes.release(claim, why="provably_absent", wait=Wait.FAIR_SHARE))

    async def _unknown(self, claim: Claim, lease: Lease, text: str, cost: CostState) -> None:
        error = EditError(kind=ErrorKind.SUBMISSION_UNKNOWN, message=text, retryable=True)
        await lease.decide(lambda: self.clients.outcomes.fail(claim, error, cost=cost))
