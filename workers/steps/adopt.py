"""Step adopt: searches for the task of a create without an answer. Buys again only with proof that none was bought."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from edits import retry
from edits.attempts import Attempt
from edits.db.claims import Claim, Claims, Unanswered
from edits.db.clock import boot_time, ms
from edits.db.fields import Field, Text
from edits.db.freshness import Completeness, Freshness
from edits.db.sender import ScriptError
from edits.models import CostState, ErrorKind, Step, Wait, from_ms
from qubico import errors
from workers.adoption import matching
from workers.adoption.history import CLOCKS, History, Incomplete, Reading, Unreadable, attempt_of, last_arrival
from workers.adoption.matching import Asked, Wanted
from workers.adoption.restored import LOOKS_EVERY, Restored
from workers.lease import Lease
from workers.steps.work import StepWork, Trouble, Work

log = structlog.get_logger()

LOOKS_ON: Final = timedelta(minutes=5)  # after the quiet period, if that may bring a proof


@dataclass(slots=True)
class Adopt(StepWork):
    step = Step.ADOPT
    history: History = field(init=False)
    restored: Restored = field(init=False)

    def __post_init__(self) -> None:
        self.history = History(self.clients)
        self.restored = Restored(self.clients, self.history)

    async def claim(self, most: int) -> Claims:
        claims = await self.clients.claims.due(Step.ADOPT, most, lease=self.lease, wakes=Step.ADOPT, with_input=False)
        if not self.clients.registry.shut:
            return claims
        self.restored.start()
        return Claims(claims.claims, min(claims.next, LOOKS_EVERY))

    async def work(self, claim: Claim, lease: Lease) -> None:
        work = Work(self.clients, claim, lease)
        if await self._take_candidate(work):
            return
        since_submit = self._since_submit(claim, lease)
        try:
            looked = await self._look(claim, lease)
        except Incomplete as exc:
            log.warning("history.incomplete", edit_id=claim.id, cause=str(exc))
            if isinstance(exc, Unreadable) and since_submit > self._quiet + LOOKS_ON:
                await self._undecidable(work)
            else:
                await work.retry(Trouble.PASSING, retry.ADOPT)
            return
        if looked is None:
            return
        found, renewed = looked
        work = Work(self.clients, claim, renewed)
        if await self._take(work, found.tasks_of(self._attempt(claim)), how="history"):
            return
        if since_submit > self._quiet:
            await self._settle(work, found)
        else:
            await work.retry(Trouble.PASSING, retry.ADOPT)

    @property
    def _quiet(self) -> timedelta:
        return self.clients.settings.qubico.unknown_quiet_period

    def _since_submit(self, claim: Claim, lease: Lease) -> timedelta:
        claimed_at = claim.moment(Field.LEASE_END) - ms(self.lease)
        return timedelta(milliseconds=claimed_at - claim.moment(Field.CLAIMED), seconds=boot_time() - lease.began)

    def _attempt(self, claim: Claim) -> Attempt:
        """The attempt whose create was lost; a person's `retry` has raised the number since."""
        return Attempt(claim.id, claim.attempt - (1 if claim.may_buy_anew else 0))

    async def _look(self, claim: Claim, lease: Lease) -> tuple[Reading, Lease] | None:
        """Reads the history; a long reading renews the claim, so that no other process starts the same one.

        None if somebody has decided about the edit in the meantime. Raises Incomplete.
        """
        looking = asyncio.ensure_future(self.history.look(from_ms(claim.moment(Field.CLAIMED))))
        while not (await asyncio.wait([looking], timeout=self.lease.total_seconds() / 3))[0]:
            renewed = Lease(began=boot_time(), length=lease.length)
            with contextlib.suppress(ScriptError):  # there is time for one more try before the lease ends
                if not await self.clients.claims.renew(claim, Step.ADOPT, lease=self.lease):
                    looking.cancel()
                    return None
                lease = renewed
        return looking.result(), lease

    async def _settle(self, work: Work, found: Reading) -> None:
        """A complete reading, begun after the quiet period, shows no task with this attempt's token."""
        claim, history = work.claim, found.complete
        silent = await work.lease.decide(lambda: self._silent(claim, found))
        if silent is None:
            return
        fitting, may_hide_it = silent
        if fitting and await self._take(work, [fitting], how="input"):
            return
        covered = history.covers(last_arrival(self.clients, claim.moment(Field.CLAIMED)))
        if claim.may_buy_anew or (not may_hide_it and covered):
            await self._absent(work)
        elif not may_hide_it and self._will_be_covered(claim, history):
            await work.retry(Trouble.PASSING, retry.ADOPT)
        else:
            await self._undecidable(work)

    async def _silent(self, claim: Claim, found: Reading) -> tuple[str | None, bool]:
        """The task without a token that must be this edit's, and whether any of them may be."""
        freshness = Freshness(self.clients.repository.scripts)
        tasks = [found.silent[i] for i in await freshness.without_edit(list(found.silent))] if found.silent else []
        edits = await self.clients.claims.unanswered() if tasks else []
        if not tasks or edits is None:
            return None, bool(tasks)
        wanted = {edit.id: self._wanted(edit) for edit in edits}
        own = wanted.pop(claim.id, None)
        if own is None:  # decided by another process
            return None, True
        return matching.task_for(own, wanted.values(), tasks), matching.may_be_among(own, wanted.values(), tasks)

    def _wanted(self, edit: Unanswered) -> Wanted:
        latest = from_ms(last_arrival(self.clients, edit.claimed_at)) + CLOCKS
        return Wanted(Asked.by_edit(edit.input, edit.sent), earliest=from_ms(edit.claimed_at) - CLOCKS, latest=latest)

    def _will_be_covered(self, claim: Claim, history: Completeness) -> bool:
        """Whether a later reading may bring the proof."""
        last = claim.moment(Field.CLAIMED) + ms(self._quiet + LOOKS_ON)
        return history.began < last and history.would_cover(
            last_arrival(self.clients, claim.moment(Field.CLAIMED)), begun=last
        )

    async def _take_candidate(self, work: Work) -> bool:
        """A callback named a task: accepted only if a read shows this attempt's token."""
        task_id = work.claim.long.get(Text.CANDIDATE)
        if not task_id:
            return False
        try:
            task = await self.clients.read_task(task_id)
        except errors.QubicoError:
            return False
        if attempt_of(self.clients, task) != self._attempt(work.claim):
            return False
        return await self._take(work, [task_id], how="callback")

    async def _take(self, work: Work, task_ids: list[str], *, how: str) -> bool:
        """Whether one of them is this edit's now."""
        answers = []
        for task_id in task_ids:
            attempt, bought = work.claim.attempt, self.clients.outcomes.bought
            answers.append(await work.lease.decide(partial(bought, work.id, attempt=attempt, task_id=task_id, how=how)))
            log.info("edit.adopted", edit_id=work.id, task_id=task_id, how=how, outcome=answers[-1])
        return any(answer != "other" for answer in answers)

    async def _undecidable(self, work: Work) -> None:
        if work.claim.may_buy_anew:
            await self._absent(work)
            return
        text = "The provider's answer was lost; it is unknown whether a task was bought."
        await work.fail(ErrorKind.SUBMISSION_UNKNOWN, text, cost=CostState.UNKNOWN)

    async def _absent(self, work: Work) -> None:
        """Provably not there, or a person retried it knowing that it may be: sent again."""
        if self.clients.settings.qubico.unknown_submit == "adopt_or_fail" and not work.claim.may_buy_anew:
            text = "The provider's answer was lost; no task was bought, and the settings forbid sending it again."
            await work.fail(ErrorKind.SUBMISSION_UNKNOWN, text, cost=CostState.RELEASED)
            return
        await work.release("provably_absent", Wait.FAIR_SHARE)
