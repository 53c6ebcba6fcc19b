"""Step submit: buys a task for each claimed edit. Never resends a create that may have reached the provider."""

from datetime import timedelta

import structlog

from edits.attempts import Attempt
from edits.db.claims import Claim, Claims
from edits.models import PRICE_UNITS, CostState, Edit, ErrorKind, Step, Wait
from edits.storage.backends import StorageError
from edits.storage.layout import input_key
from qubico import errors, schemas
from workers.clients import CALLBACKS
from workers.lease import Lease, hold
from workers.steps.send_slot import SendSlot
from workers.steps.work import StepWork, Work

log = structlog.get_logger()

ADDRESS_LIFE = timedelta(hours=6)  # the provider may queue a task for long before it fetches the picture
LOOK_FOR_LOST_AFTER = 2.0  # seconds; a callback or the history may name the task that soon


class Submit(StepWork):
    step = Step.SUBMIT

    async def claim(self, most: int) -> Claims:
        claims = await self.clients.claims.submit(most, lease=self.lease)
        if claims.probe:
            await self._ask_account()
        self.clients.circuits.create.note(claims)
        return claims

    async def work(self, claim: Claim, lease: Lease) -> None:
        work = Work(self.clients, claim, lease)
        try:
            request = await self._request(claim.edit(), work)
        except ValueError as exc:  # nothing was sent, and it would be the same again
            await self._not_askable(work, exc)
            return
        except StorageError as exc:
            await self._not_addressed(work, exc)
            return
        if request is not None:
            await self._send(work, request)

    async def _send(self, work: Work, request: schemas.KontextRequest) -> None:
        slot = SendSlot(self.clients, work.claim, work.lease)
        await slot.comes()
        if slot.put_back is not None:
            await work.release(*slot.put_back)
            return
        try:
            task = await self.clients.qubico.create(
                request, may_send=lambda: slot.put_back is None and self._may_send(work.lease), connected=slot.comes
            )
        except errors.NotSent as exc:
            await self._not_sent(work, slot, exc)
        except errors.QubicoError as exc:
            await self._not_bought(work, exc)
        else:
            await self._bought(work.claim, task)

    def _may_send(self, lease: Lease) -> bool:
        return lease.age < self.clients.settings.leases.send_window.total_seconds()

    async def _request(self, edit: Edit, work: Work) -> schemas.KontextRequest | None:
        """The request; None if this process may no longer send it."""
        token = self.clients.tokens.sign(Attempt(edit.id, edit.attempt))
        callbacks = self.clients.settings.qubico.webhooks
        address = edit.input.image
        if address is None:
            address = await self._address_of_upload(edit)
            if not await work.lease.decide(lambda: self.clients.outcomes.intend(work.claim, address=address)):
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
        )

    async def _address_of_upload(self, edit: Edit) -> str:
        """Signed now, not at accept, so that waiting in our queue does not use it up."""
        extension = (edit.input.upload or "").rpartition(".")[2]
        signed = await self.clients.storage.address(input_key(edit.id, extension), expires_in=ADDRESS_LIFE)
        return signed.url

    async def _bought(self, claim: Claim, task: schemas.Task) -> None:
        """The task exists: repeats the commit until Redis accepts it."""
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

    async def _not_askable(self, work: Work, exc: ValueError) -> None:
        log.error("edit.not_askable", edit_id=work.id, cause=type(exc).__name__)
        text = "The accepted edit cannot be sent to the provider."
        await work.fail(ErrorKind.INTERNAL, text, retryable=False, cost=CostState.RELEASED)

    async def _not_addressed(self, work: Work, exc: StorageError) -> None:
        """The storage, which has its picture and takes the results, cannot be used now."""
        log.warning("edit.not_submitted", edit_id=work.id, cause=type(exc).__name__, detail=str(exc)[:200])
        await work.unanswered(self.clients.circuits.create, exc, at_once=True)
        await work.release("no_storage", Wait.COOLDOWN)

    async def _not_sent(self, work: Work, slot: SendSlot, exc: errors.NotSent) -> None:
        if slot.put_back is None:
            log.warning("edit.not_submitted", edit_id=work.id, cause=type(exc).__name__, detail=str(exc)[:200])
            if self._may_send(work.lease):  # not our own stop: the provider is unreachable for all
                await work.unanswered(self.clients.circuits.create, exc, at_once=True)
        await work.release(*(slot.put_back or ("not_sent", Wait.COOLDOWN)))

    async def _not_bought(self, work: Work, exc: errors.QubicoError) -> None:
        """Maps each failure to get a task to the edit's outcome and to the circuit."""
        circuit = self.clients.circuits.create
        # A refusal may quote the prompt: it goes into the edit, never into a log.
        detail = "" if isinstance(exc, errors.Rejected) else str(exc)[:200]
        log.warning("edit.not_submitted", edit_id=work.id, cause=type(exc).__name__, detail=detail)
        match exc:
            case errors.Throttled():
                await work.throttled(circuit, exc, after=exc.retry_after)
                await work.release("throttled", Wait.COOLDOWN)
            case errors.AccountBlocked():
                await work.account_blocked(str(exc))
                await work.release("account_refused", Wait.PROVIDER_ACCOUNT)
            case errors.Rejected():
                kind = ErrorKind.MODERATED if exc.moderated else ErrorKind.REJECTED
                await work.fail(kind, str(exc), cost=CostState.RELEASED, code=exc.provider_code)
                await circuit.answered(work.id)
            case _:
                cause, lost = type(exc).__name__, self.clients.outcomes.lost
                await work.unanswered(circuit, exc)
                await work.lease.decide(lambda: lost(work.claim, cause=cause, delay=LOOK_FOR_LOST_AFTER))

    async def _ask_account(self) -> None:
        """Submission is paused by a refused account: resumes when the account answers with credit."""
        try:
            account = await self.clients.qubico.account()
        except errors.QubicoError as exc:
            log.warning("account.still_refused", cause=type(exc).__name__)
            return
        if account.balance_usd is None or account.balance_usd > 0:
            await self.clients.limiter.unblock()
            log.info("account.usable")
