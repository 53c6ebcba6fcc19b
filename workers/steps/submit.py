"""Step submit: buys a task for each claimed edit. What may have reached the provider is never sent again from here."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from edits.attempts import Attempt
from edits.db.claims import Claim, Claims
from edits.models import PRICE_UNITS, CostState, Edit, EditError, ErrorKind, Step, Wait
from edits.retry import RETRYABLE
from edits.storage.layout import input_key
from edits.storage.store import StorageError
from qubico import errors, schemas
from workers.clients import CALLBACKS, Clients
from workers.lease import Lease, hold
from workers.steps.send_slot import Turn

log = structlog.get_logger()

ADDRESS_LIFE = timedelta(hours=6)  # the provider may queue a task for long before it fetches the picture
LOOK_FOR_LOST_AFTER = 2.0  # seconds; a callback or the history may name the task that soon


@dataclass(slots=True)
class Submit:
    clients: Clients
    step = Step.SUBMIT

    @property
    def lease(self) -> timedelta:
        return self.clients.settings.leases.submit_lease

    async def claim(self, most: int) -> Claims:
        claims = await self.clients.claims.submit(most, lease=self.lease)
        if claims.probe:
            await self._ask_account()
        self.clients.circuits.create.note(claims)
        return claims

    async def work(self, claim: Claim, lease: Lease) -> None:
        try:
            request = await self._request(claim.edit(), claim, lease)
        except ValueError as exc:  # nothing has left, and it would be the same again
            await self._not_askable(claim, lease, exc)
            return
        except StorageError as exc:
            await self._not_addressed(claim, lease, exc)
            return
        if request is None:
            return
        turn = Turn(self.clients, claim, lease)
        await turn.comes()
        if turn.put_back is not None:
            await self._put_back(claim, lease, *turn.put_back)
            return
        try:
            task = await self.clients.qubico.create(
                request, may_send=lambda: turn.put_back is None and self._may_send(lease), connected=turn.comes
            )
        except errors.NotSent as exc:
            await self._not_sent(claim, lease, turn, exc)
        except errors.QubicoError as exc:
            await self._not_bought(claim, lease, exc)
        else:
            await self._bought(claim, task)

    def _may_send(self, lease: Lease) -> bool:
        return lease.age < self.clients.settings.leases.send_window.total_seconds()

    async def _request(self, edit: Edit, claim: Claim, lease: Lease) -> schemas.KontextRequest | None:
        """What to send; None if the edit is no longer ours to send."""
        token = self.clients.tokens.sign(Attempt(edit.id, edit.attempt))
        callbacks = self.clients.settings.qubico.webhooks
        address = edit.input.image
        if address is None:
            address = await self._address_of_upload(edit)
            if not await lease.decide(lambda: self.clients.outcomes.intend(claim, address=address)):
                return None
        return schemas.KontextRequest(
            prompt=edit.input.prompt,
            image=address,
            width=edit.input.width,
            height=edit.input.height,
            steps=edit.input.steps,
            seed=edit.input.seed,
            webhook_endpoint=f"{self.clients.settings.public_url}{CALLBACKS}{token}" if callbacks else "",
            webhook_secret=token,
            service_mode="",
        )

    async def _address_of_upload(self, edit: Edit) -> str:
        """Signed now, not at accept, so that waiting in our queue does not use it up."""
        extension = (edit.input.upload or "").rpartition(".")[2]
        signed = await self.clients.storage.address(input_key(edit.id, extension), expires_in=ADDRESS_LIFE)
        return signed.url

    async def _bought(self, claim: Claim, task: schemas.Task) -> None:
        """The task exists: a fact, held until Redis takes it."""
        pace = await self.clients.paces.of(claim.steps)
        await hold(
            lambda: self.clients.outcomes.bought(
                claim.id,
                attempt=claim.attempt,
                task_id=task.task_id,
                units=task.quote or PRICE_UNITS,
                status=task.status,
                first_look=0 if task.is_final else pace.first_look(),
                how="answer",
            ),
            gone=self.clients.stopping,
        )
        log.info("edit.submitted", edit_id=claim.id, attempt=claim.attempt, task_id=task.task_id)
        await self.clients.circuits.create.answered(claim.id)

    async def _not_askable(self, claim: Claim, lease: Lease, exc: ValueError) -> None:
        log.error("edit.not_askable", edit_id=claim.id, cause=type(exc).__name__)
        text = "What was accepted cannot be asked of the provider."
        error = EditError(kind=ErrorKind.INTERNAL, message=text, retryable=False)
        await lease.decide(lambda: self.clients.outcomes.fail(claim, error, cost=CostState.RELEASED))

    async def _not_addressed(self, claim: Claim, lease: Lease, exc: StorageError) -> None:
        """Its picture stands in a storage that cannot be used now, and there results have to go as well."""
        log.warning("edit.not_submitted", edit_id=claim.id, cause=type(exc).__name__, detail=str(exc)[:200])
        circuit = self.clients.circuits.create
        await lease.decide(lambda: circuit.failed(claim.id, exc, age=lease.age, at_once=True))
        await lease.decide(lambda: self.clients.outcomes.release(claim, why="no_storage", wait=Wait.COOLDOWN))

    async def _not_sent(self, claim: Claim, lease: Lease, turn: Turn, exc: errors.NotSent) -> None:
        if turn.put_back is None:
            log.warning("edit.not_submitted", edit_id=claim.id, cause=type(exc).__name__, detail=str(exc)[:200])
            if self._may_send(lease):  # not our own doing: the provider is out of reach, and for everybody
                circuit = self.clients.circuits.create
                await lease.decide(lambda: circuit.failed(claim.id, exc, age=lease.age, at_once=True))
        await self._put_back(claim, lease, *(turn.put_back or ("not_sent", Wait.COOLDOWN)))

    async def _put_back(self, claim: Claim, lease: Lease, why: str, wait: Wait) -> None:
        await lease.decide(lambda: self.clients.outcomes.release(claim, why=why, wait=wait))

    async def _not_bought(self, claim: Claim, lease: Lease, exc: errors.QubicoError) -> None:
        """What each way of not getting a task means for the edit, and for all others."""
        outcomes, circuit = self.clients.outcomes, self.clients.circuits.create
        # Why a request was refused may quote its prompt: that stands in the edit, and in no log.
        detail = "" if isinstance(exc, errors.Rejected) else str(exc)[:200]
        log.warning("edit.not_submitted", edit_id=claim.id, cause=type(exc).__name__, detail=detail)
        match exc:
            case errors.Throttled():
                await lease.decide(lambda: circuit.refused(claim.id, exc, age=lease.age, after=exc.retry_after))
                await lease.decide(lambda: outcomes.release(claim, why="throttled", wait=Wait.COOLDOWN))
            case errors.AccountBlocked():
                await lease.decide(lambda: self.clients.limiter.block(str(exc)))
                await lease.decide(lambda: outcomes.release(claim, why="account_refused", wait=Wait.PROVIDER_ACCOUNT))
            case errors.Rejected():
                kind = ErrorKind.MODERATED if exc.moderated else ErrorKind.REJECTED
                error = EditError(
                    kind=kind, message=str(exc), retryable=RETRYABLE[kind], provider_code=exc.provider_code
                )
                await lease.decide(lambda: outcomes.fail(claim, error, cost=CostState.RELEASED))
                await circuit.answered(claim.id)
            case _:
                cause = type(exc).__name__
                await lease.decide(lambda: circuit.failed(claim.id, exc, age=lease.age))
                await lease.decide(lambda: outcomes.lost(claim, cause=cause, delay=LOOK_FOR_LOST_AFTER))

    async def _ask_account(self) -> None:
        """Submitting is paused because the account was refused: goes on when it answers with money on it."""
        try:
            account = await self.clients.qubico.account()
        except errors.QubicoError as exc:
            log.warning("account.still_refused", cause=type(exc).__name__)
            return
        if account.balance_usd is None or account.balance_usd > 0:
            await self.clients.limiter.unblock()
            log.info("account.usable")
