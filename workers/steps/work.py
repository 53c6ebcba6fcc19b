"""What a step decides about one claimed edit. A decision that cannot be committed is dropped when the lease ends."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from edits import retry
from edits.db.claims import Claim
from edits.db.fields import Field
from edits.models import CostState, EditError, ErrorKind, Wait
from qubico import schemas
from workers.circuits import Circuit
from workers.clients import Clients
from workers.lease import Lease
from workers.steps import failure_counts
from workers.steps.failure_counts import Trouble

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Work:
    clients: Clients
    claim: Claim
    lease: Lease

    @property
    def id(self) -> str:
        return self.claim.id

    async def decide(self, commit: Callable[[], Awaitable[_T]]) -> _T | None:
        return await self.lease.decide(commit)

    async def retry(
        self,
        trouble: Trouble,
        backoff: retry.Backoff,
        *,
        at_least: float = 0.0,
        wait: Wait | None = None,
        event: str | None = None,
    ) -> bool:
        """Puts the edit off by the back-off, in seconds `at_least`. False if the tries for this trouble are used up."""
        delay = backoff.delay(failure_counts.so_far(self.claim, trouble), self.clients.jitter)
        if delay is None:
            return False
        delay, tries = max(delay, at_least), failure_counts.one_more(self.claim, trouble)
        snooze = self.clients.outcomes.snooze
        await self.decide(lambda: snooze(self.claim, delay=delay, tries=tries, wait=wait, event=event))
        return True

    async def release(self, why: str, wait: Wait) -> None:
        await self.decide(lambda: self.clients.outcomes.release(self.claim, why=why, wait=wait))

    async def fail(
        self,
        kind: ErrorKind,
        message: str,
        *,
        cost: CostState,
        code: int | str | None = None,
        retryable: bool | None = None,
        task: schemas.Task | None = None,
        abandon: bool = False,
    ) -> None:
        """`retryable`: None as the kind says. `abandon`: the task is still followed to its end."""
        may_retry = kind not in retry.FINAL_FAILURES if retryable is None else retryable
        code = task.error_code if task else code
        error = EditError(kind=kind, message=message, retryable=may_retry, provider_code=code)
        status = task.raw_status[:64] if task else None
        fail = self.clients.outcomes.fail
        await self.decide(lambda: fail(self.claim, error, cost=cost, task_status=status, abandon=abandon))

    async def repurchase_or_fail(
        self,
        kind: ErrorKind,
        message: str,
        *,
        cost: CostState = CostState.CHARGED,
        task: schemas.Task | None = None,
    ) -> None:
        """Buys again where a person or the setting allows it."""
        by: Literal["asked", "automatic"] | None = retry.buys_again(
            kind,
            asked=self.claim.may_buy_anew,
            automatic_so_far=self.claim.moment(Field.AUTOMATIC),
            automatic_limit=self.clients.settings.qubico.rebuy_failed,
        )
        if by is None:
            await self.fail(kind, message, cost=cost, task=task)
        else:
            rebuy = self.clients.outcomes.rebuy
            await self.decide(lambda: rebuy(self.claim, kind=kind, automatic=by == "automatic"))

    async def unanswered(self, circuit: Circuit, exc: Exception, *, at_once: bool = False) -> None:
        """The operation did not answer. `at_once`: nothing could be sent, so one failure closes the circuit."""
        await self.decide(lambda: circuit.failed(self.id, exc, age=self.lease.age, at_once=at_once))

    async def throttled(self, circuit: Circuit, exc: Exception, *, after: float | None) -> None:
        await self.decide(lambda: circuit.refused(self.id, exc, age=self.lease.age, after=after))

    async def account_blocked(self, why: str) -> None:
        """Pauses all submitting until the account can pay again."""
        await self.decide(lambda: self.clients.limiter.block(why))
