"""Step poll: reads due tasks. Unfinished is a snooze and costs nothing; only a read that shows an end ends anything."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from edits import retry
from edits.db.claims import Claim, Claims
from edits.db.clock import boot_time
from edits.db.fields import Field
from edits.models import CostState, EditError, ErrorKind, Step, Wait
from edits.pacing.pace import Took
from qubico import errors, schemas
from qubico.schemas import TaskStatus
from workers.clients import Clients
from workers.lease import Lease
from workers.steps import failure_counts
from workers.steps.failure_counts import Trouble

log = structlog.get_logger()

IN_THE_TASK = "task:"  # stands for an address: the file is base64 in the task itself, too large for a record


@dataclass(slots=True)
class Poll:
    clients: Clients
    step = Step.POLL

    @property
    def lease(self) -> timedelta:
        return self.clients.settings.leases.poll_lease

    async def claim(self, most: int) -> Claims:
        claims = await self.clients.claims.due(Step.POLL, most, lease=self.lease, wakes=Step.POLL, with_input=False)
        self.clients.paces.claimed(late=claims.late)
        self.clients.circuits.read.note(claims)
        return claims

    async def work(self, claim: Claim, lease: Lease) -> None:
        try:
            task = await self.clients.qubico.get(claim.task_id)
        except errors.TaskGone:
            await self._unknown(claim, lease)
            await self.clients.circuits.read.answered(claim.id)
        except errors.QubicoError as exc:
            await self._unreadable(claim, lease, exc)
        else:
            await self._read(claim, lease, task)
            await self.clients.circuits.read.answered(claim.id)

    async def _read(self, claim: Claim, lease: Lease, task: schemas.Task) -> None:
        if task.status is TaskStatus.COMPLETED:
            await self._completed(claim, lease, task)
        elif task.status is TaskStatus.FAILED:
            await self._failed(claim, lease, task)
        elif self._waited(claim, lease) > self.clients.settings.edits.deadline.total_seconds():
            await self._too_late(claim, lease, task)
        else:
            wait = Wait.PROVIDER_RUN if task.status is TaskStatus.PROCESSING else Wait.PROVIDER_QUEUE
            pace = await self.clients.paces.of(claim.steps)
            age = self._age(claim, lease)
            delay = pace.next_look(age, running=_running(task, age))
            await lease.decide(
                lambda: self.clients.outcomes.snooze(
                    claim,
                    delay=delay,
                    looked=True,
                    task_status=task.raw_status[:64],
                    started_at=task.started_at,
                    wait=wait,
                )
            )

    def _age(self, claim: Claim, lease: Lease) -> float:
        """Seconds since the provider took the task, by the clock of Redis: the claim's lease end says when that was."""
        claimed_at = claim.moment(Field.LEASE_END) / 1000 - self.lease.total_seconds()
        return claimed_at - claim.moment(Field.TASK_ACCEPTED) / 1000 + (boot_time() - lease.began)

    def _waited(self, claim: Claim, lease: Lease) -> float:
        """The age without the time in which we could not look, or did not: that is not held against the task."""
        age = self._age(claim, lease)
        due = claim.moment(Field.NEXT_LOOK) - claim.moment(Field.TASK_ACCEPTED)  # ms; 0 in records of an older release
        late = max(0.0, age - due / 1000) if due > 0 else 0.0
        return age - late - claim.moment(Field.OVERDUE) / 1000

    async def _completed(self, claim: Claim, lease: Lease, task: schemas.Task) -> None:
        address = task.image_url or (IN_THE_TASK if task.image_base64 else None)
        if address is None:
            delay = retry.NO_ADDRESS.delay(failure_counts.so_far(claim, Trouble.NO_ADDRESS), self.clients.jitter)
            after = failure_counts.one_more(claim, Trouble.NO_ADDRESS)
            if delay is not None:  # seen in the wild: the address comes a moment after the status
                await lease.decide(
                    lambda: self.clients.outcomes.snooze(
                        claim, delay=delay, tries=after, wait=Wait.NOTICE, event="no_address"
                    )
                )
            else:
                text = "The task is completed, but the provider gave no address for its file."
                await self._fail(claim, lease, ErrorKind.RESULT_UNAVAILABLE, text, task=task)
            return
        await lease.decide(
            lambda: self.clients.outcomes.completed(
                claim,
                address=address,
                started_at=task.started_at,
                ended_at=task.ended_at,
                units=task.charge,
                took=_took(task),
            )
        )

    async def _failed(self, claim: Claim, lease: Lease, task: schemas.Task) -> None:
        if task.out_of_credit:  # the next one would fail, too
            await lease.decide(lambda: self.clients.limiter.block(task.message))
        kind = ErrorKind.MODERATED if task.moderated else ErrorKind.PROVIDER_FAILED
        text = task.message or "The provider says only that the task failed."
        await self._fail(claim, lease, kind, text, task=task, cost=CostState.UNKNOWN)

    async def _too_late(self, claim: Claim, lease: Lease, task: schemas.Task) -> None:
        deadline = self.clients.settings.edits.deadline
        error = EditError(
            kind=ErrorKind.PROVIDER_TIMEOUT,
            message=f"The task was unfinished {deadline} after the provider took it; it is followed to its end.",
            retryable=True,
        )
        await lease.decide(
            lambda: self.clients.outcomes.fail(
                claim, error, cost=CostState.CHARGED, task_status=task.raw_status[:64], abandon=True
            )
        )

    async def _unknown(self, claim: Claim, lease: Lease) -> None:
        """404: not visible yet, right after the create; later the provider has deleted it."""
        delay = retry.TASK_UNKNOWN.delay(failure_counts.so_far(claim, Trouble.GONE), self.clients.jitter)
        if delay is None:
            text = "The provider no longer knows the task that it took."
            await self._fail(claim, lease, ErrorKind.RESULT_UNAVAILABLE, text)
            return
        after = failure_counts.one_more(claim, Trouble.GONE)
        await lease.decide(lambda: self.clients.outcomes.snooze(claim, delay=delay, tries=after))

    async def _unreadable(self, claim: Claim, lease: Lease, exc: errors.QubicoError) -> None:
        """An outage, a throttle or a refused key says nothing about the task: look again later."""
        log.warning("edit.unreadable", edit_id=claim.id, cause=type(exc).__name__, detail=str(exc)[:200])
        circuit, pause = self.clients.circuits.read, None
        if isinstance(exc, errors.Throttled):
            pause = exc.retry_after
            await lease.decide(lambda: circuit.refused(claim.id, exc, age=lease.age, after=pause))
        elif isinstance(exc, errors.AccountBlocked):
            await lease.decide(lambda: self.clients.limiter.block(str(exc)))
        else:
            await lease.decide(lambda: circuit.failed(claim.id, exc, age=lease.age))
        tried = failure_counts.so_far(claim, Trouble.PASSING)
        delay = max(retry.READ.delay(tried, self.clients.jitter) or 0.0, pause or 0.0)
        after = failure_counts.one_more(claim, Trouble.PASSING)
        await lease.decide(lambda: self.clients.outcomes.snooze(claim, delay=delay, tries=after))

    async def _fail(
        self,
        claim: Claim,
        lease: Lease,
        kind: ErrorKind,
        text: str,
        *,
        task: schemas.Task | None = None,
        cost: CostState = CostState.CHARGED,
    ) -> None:
        by = retry.buys_again(
            kind,
            asked=claim.may_buy_anew,
            automatic_so_far=claim.moment(Field.AUTOMATIC),
            automatic_limit=self.clients.settings.qubico.rebuy_failed,
        )
        if by is not None:
            await lease.decide(lambda: self.clients.outcomes.rebuy(claim, kind=kind, automatic=by == "automatic"))
            return
        error = EditError(
            kind=kind, message=text, retryable=retry.RETRYABLE[kind], provider_code=task.error_code if task else None
        )
        status = task.raw_status[:64] if task else None
        await lease.decide(lambda: self.clients.outcomes.fail(claim, error, cost=cost, task_status=status))


def _running(task: schemas.Task, age: float) -> float | None:
    """For how long it runs, if it says so. Only spans of the provider's clock are used: it may differ from ours."""
    if task.created_at is None or task.started_at is None:
        return None
    return max(0.0, age - max(0.0, (task.started_at - task.created_at).total_seconds()))


def _took(task: schemas.Task) -> Took | None:
    if task.created_at is None or task.started_at is None or task.ended_at is None:
        return None
    wait, run = task.started_at - task.created_at, task.ended_at - task.started_at
    return Took(max(0.0, wait.total_seconds()), max(0.0, run.total_seconds()))
