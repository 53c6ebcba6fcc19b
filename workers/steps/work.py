"""What a step decides about one claimed edit. A decision that cannot be committed is dropped when the lease ends."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import ClassVar, Final, Literal

from edits import retry
from edits.db.claims import Claim, Claims
from edits.db.fields import Field
from edits.models import CostState, EditError, ErrorKind, Step, Wait
from qubico import schemas
from workers.circuits import Circuit
from workers.clients import Clients
from workers.lease import Lease

MOST_COUNTED: Final = 255  # failures; every back-off has long reached its longest, and every budget its end

BROKEN: Final = {
    Step.POLL: (ErrorKind.INTERNAL, CostState.CHARGED),
    Step.STORE: (ErrorKind.INTERNAL, CostState.CHARGED),
    Step.ADOPT: (ErrorKind.SUBMISSION_UNKNOWN, CostState.UNKNOWN),  # so that `retry` searches for its task first
}
"""What an edit fails as after unexpected errors. Not submit: its create may have left, and its lease leads to adopt."""


class Trouble(IntEnum):
    """A kind of failure with its own retry budget. Its value: the byte of the record's number with its count."""

    PASSING = 0  # no answer, an outage, a throttle
    GONE = 1  # 404: the task or its file is not there
    NO_ADDRESS = 2  # completed without a file
    BROKEN = 3  # an error of our own
    STORAGE = 4  # our storage cannot be used


def failures(claim: Claim, trouble: Trouble) -> int:
    return claim.tries >> 8 * trouble & MOST_COUNTED


@dataclass(slots=True)
class StepWork(ABC):
    """One step of an edit: claims what is due and works on each claim."""

    clients: Clients
    step: ClassVar[Step]

    @property
    def lease(self) -> timedelta:
        leases = self.clients.settings.leases
        return {
            Step.SUBMIT: leases.submit_lease,
            Step.STORE: leases.store_lease,
            Step.ADOPT: leases.adopt_lease,
        }.get(self.step, leases.poll_lease)

    @abstractmethod
    async def claim(self, most: int) -> Claims: ...

    @abstractmethod
    async def work(self, claim: Claim, lease: Lease) -> None: ...


@dataclass(frozen=True, slots=True)
class Work:
    clients: Clients
    claim: Claim
    lease: Lease

    @property
    def id(self) -> str:
        return self.claim.id

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
        so_far = failures(self.claim, trouble)
        delay = backoff.delay(so_far, self.clients.jitter)
        if delay is None:
            return False
        delay, tries = max(delay, at_least), self.claim.tries + (1 << 8 * trouble if so_far < MOST_COUNTED else 0)
        snooze = self.clients.outcomes.snooze
        await self.lease.decide(lambda: snooze(self.claim, delay=delay, tries=tries, wait=wait, event=event))
        return True

    async def put_off(self, step: Step) -> None:
        """After an unexpected error: retried a few times, then it fails, so that no edit waits for ever."""
        if step in BROKEN and not await self.retry(Trouble.BROKEN, retry.BROKEN):
            kind, cost = BROKEN[step]
            text = f"Internal error in the step {step}; see the log."
            await self.fail(kind, text, cost=cost, retryable=True, abandon=step is Step.POLL)

    async def release(self, why: str, wait: Wait) -> None:
        await self.lease.decide(lambda: self.clients.outcomes.release(self.claim, why=why, wait=wait))

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
        await self.lease.decide(lambda: fail(self.claim, error, cost=cost, task_status=status, abandon=abandon))

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
            await self.lease.decide(lambda: rebuy(self.claim, kind=kind, automatic=by == "automatic"))

    async def unanswered(self, circuit: Circuit, exc: Exception, *, at_once: bool = False) -> None:
        """The operation did not answer. `at_once`: nothing could be sent, so one failure opens the circuit."""
        await self.lease.decide(lambda: circuit.failed(self.id, exc, age=self.lease.age, at_once=at_once))

    async def throttled(self, circuit: Circuit, exc: Exception, *, after: float | None) -> None:
        await self.lease.decide(lambda: circuit.refused(self.id, exc, age=self.lease.age, after=after))

    async def account_blocked(self, why: str) -> None:
        """Pauses all submitting until the account can pay again."""
        await self.lease.decide(lambda: self.clients.limiter.block(why))
