"""Step poll: reads due tasks. An unfinished task is a snooze at no cost; only a read that shows an end ends an edit."""

import structlog

from edits import retry
from edits.db.claims import Claim, Claims
from edits.db.fields import Field
from edits.models import CostState, ErrorKind, Step, Wait
from edits.pacing.pace import Took
from qubico import errors, schemas
from qubico.schemas import TaskStatus
from workers.lease import Lease
from workers.steps.work import StepWork, Trouble, Work

log = structlog.get_logger()

IN_THE_TASK = "task:"  # stands for an address: the file is base64 in the task itself, too large for a record


class Poll(StepWork):
    step = Step.POLL

    async def claim(self, most: int) -> Claims:
        claims = await self.clients.claims.due(Step.POLL, most, lease=self.lease, wakes=Step.POLL, with_input=False)
        self.clients.paces.claimed(late=claims.late)
        self.clients.circuits.read.note(claims)
        return claims

    async def work(self, claim: Claim, lease: Lease) -> None:
        work = Work(self.clients, claim, lease)
        try:
            task = await self.clients.qubico.get(claim.task_id)
        except errors.TaskGone:
            await self._unknown(work)
        except errors.QubicoError as exc:
            await self._unreadable(work, exc)
            return
        else:
            await self._read(work, task)
        await self.clients.circuits.read.answered(claim.id)

    async def _read(self, work: Work, task: schemas.Task) -> None:
        deadline = self.clients.settings.edits.deadline
        if task.status is TaskStatus.COMPLETED:
            await self._completed(work, task)
        elif task.status is TaskStatus.FAILED:
            await self._failed(work, task)
        elif self._waited(work) > deadline.total_seconds():
            text = f"The task was unfinished {deadline} after the provider accepted it; it is read to its end."
            await work.fail(ErrorKind.PROVIDER_TIMEOUT, text, cost=CostState.CHARGED, task=task, abandon=True)
        else:
            await self._unfinished(work, task)

    async def _unfinished(self, work: Work, task: schemas.Task) -> None:
        wait = Wait.PROVIDER_RUN if task.status is TaskStatus.PROCESSING else Wait.PROVIDER_QUEUE
        pace = await self.clients.paces.of(work.claim.steps)
        age = self._age(work)
        delay = pace.next_look(age, running=_running(task, age))
        await work.lease.decide(
            lambda: self.clients.outcomes.snooze(
                work.claim,
                delay=delay,
                looked=True,
                task_status=task.raw_status[:64],
                started_at=task.started_at,
                wait=wait,
            )
        )

    def _age(self, work: Work) -> float:
        """Seconds since the provider accepted the task, by the clock of Redis, computed from the claim's lease end."""
        claimed_at = work.claim.moment(Field.LEASE_END) / 1000 - self.lease.total_seconds()
        return claimed_at - work.claim.moment(Field.TASK_ACCEPTED) / 1000 + work.lease.age

    def _waited(self, work: Work) -> float:
        """The age without the time in which reads were late, which is not the task's fault. Seconds."""
        age, claim = self._age(work), work.claim
        due = (claim.moment(Field.NEXT_LOOK) - claim.moment(Field.TASK_ACCEPTED)) / 1000
        return age - max(0.0, age - due) - claim.moment(Field.OVERDUE) / 1000

    async def _completed(self, work: Work, task: schemas.Task) -> None:
        address = task.image_url or (IN_THE_TASK if task.image_base64 else None)
        if address is not None:
            await work.lease.decide(
                lambda: self.clients.outcomes.completed(
                    work.claim,
                    address=address,
                    started_at=task.started_at,
                    ended_at=task.ended_at,
                    units=task.charge,
                    took=_took(task),
                )
            )
        # Seen in the wild: the address comes a moment after the status.
        elif not await work.retry(Trouble.NO_ADDRESS, retry.NO_ADDRESS, wait=Wait.NOTICE, event="no_address"):
            text = "The task is completed, but the provider sent no address of its file."
            await work.repurchase_or_fail(ErrorKind.RESULT_UNAVAILABLE, text, task=task)

    async def _failed(self, work: Work, task: schemas.Task) -> None:
        if task.out_of_credit:  # the next one would fail, too
            await work.account_blocked(task.message)
        kind = ErrorKind.MODERATED if task.moderated else ErrorKind.PROVIDER_FAILED
        text = task.message or "The provider says only that the task failed."
        await work.repurchase_or_fail(kind, text, task=task, cost=CostState.UNKNOWN)

    async def _unknown(self, work: Work) -> None:
        """404: not visible yet, right after the create; later the provider has deleted it."""
        if not await work.retry(Trouble.GONE, retry.TASK_UNKNOWN):
            text = "The provider no longer knows the task."
            await work.repurchase_or_fail(ErrorKind.RESULT_UNAVAILABLE, text)

    async def _unreadable(self, work: Work, exc: errors.QubicoError) -> None:
        """An outage, a throttle or a refused key says nothing about the task: it is read again later."""
        log.warning("edit.unreadable", edit_id=work.id, cause=type(exc).__name__, detail=str(exc)[:200])
        circuit, pause = self.clients.circuits.read, None
        if isinstance(exc, errors.Throttled):
            pause = exc.retry_after
            await work.throttled(circuit, exc, after=pause)
        elif isinstance(exc, errors.AccountBlocked):
            await work.account_blocked(str(exc))
        else:
            await work.unanswered(circuit, exc)
        await work.retry(Trouble.PASSING, retry.READ, at_least=pause or 0.0)


def _running(task: schemas.Task, age: float) -> float | None:
    """Seconds that it runs, if shown. Only intervals of the provider's clock are used: it may differ from ours."""
    if task.created_at is None or task.started_at is None:
        return None
    return max(0.0, age - max(0.0, (task.started_at - task.created_at).total_seconds()))


def _took(task: schemas.Task) -> Took | None:
    if task.created_at is None or task.started_at is None or task.ended_at is None:
        return None
    wait, run = task.started_at - task.created_at, task.ended_at - task.started_at
    return Took(max(0.0, wait.total_seconds()), max(0.0, run.total_seconds()))
