"""The use cases of edits: accept, get, list, timeline, cancel, retry, result, input, callback.

Each call but the callback's says whose edits it concerns, and reads the record: nothing is answered from memory.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from config.settings import Settings
from edits import errors, estimates, listing
from edits.attempts import Attempt, Tokens
from edits.ceilings import Ceilings
from edits.db.acceptance import Accepted, Idempotency, LeftRedis, unknown
from edits.db.admission import Admission
from edits.db.repository import EditRepository
from edits.estimates import Estimate
from edits.intake import Intake, NewEdit
from edits.models import Edit, EditResult, EditStatus, TimelineEvent, is_id, made_at, new_id, read_id
from edits.principal import Principal
from edits.storage import layout, manifest
from edits.storage.backends import ObjectMissing, StorageError
from edits.storage.links import LinkInvalid, Links
from edits.storage.store import Storage
from edits.storage.uploads import Upload, Uploads

ANSWER_WITHIN = 1.5  # seconds for Redis, all calls and tries together: with Redis away the API answers within two

_CURSOR = "page of a list"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Checked:
    edit: Edit  # as it would be accepted; or as it is now, where the idempotency key stands for one already
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Listed:
    edits: list[Edit]
    next_cursor: str | None
    since: datetime  # every edit accepted since then is listed; of older ones, those not ended by then


class EditService:
    def __init__(
        self,
        repository: EditRepository,
        storage: Storage,
        links: Links,
        tokens: Tokens,
        settings: Settings,
        *,
        admission: Admission,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._repository = repository
        self._storage = storage
        self._links = links
        self._tokens = tokens
        self._settings = settings
        self._admission = admission
        self._clock = clock
        self._uploads = Uploads(storage, max_bytes=settings.edits.max_input_bytes)
        self._intake = Intake(self._uploads, settings, clock=clock)

    async def accept(self, principal: Principal, new: NewEdit, *, idempotency_key: str | None = None) -> Accepted:
        """The edit, queued; or the one that this key stands for already. Nothing is stored of a refused edit."""
        with self._admission.counted():
            return await self._accepted(principal.tenant, new, idempotency_key)

    async def _accepted(self, tenant: str, new: NewEdit, idempotency_key: str | None) -> Accepted:
        if idempotency_key is not None and new.is_fleeting:
            stored = await self._stored(tenant, new, None, idempotency_key)
            if stored is not None:
                return stored
        if not new.is_passed_on:
            await self._require_room(tenant, idempotency_key)  # no picture is read for an edit that would be refused
        edit_id = new_id()
        edit, upload = await self._intake.prepare(edit_id, new, tenant=tenant)
        idempotency = _idempotency(new, upload, idempotency_key)
        if upload is None:
            return await self._accept(edit, idempotency)
        await self._uploads.keep(upload)
        try:
            accepted = await self._accept(edit, idempotency)
        except errors.AcceptUnknown:
            raise  # the edit may be there and need its picture
        except errors.EditsError:
            await self._uploads.remove(upload)
            raise
        if accepted.edit.id != edit_id:
            await self._uploads.remove(upload)
        return accepted

    async def require_room(self, principal: Principal, idempotency_key: str | None) -> None:
        """Raises QueueFull where an edit would be refused now. Call it before reading a long request."""
        with self._admission.counted():
            await self._require_room(principal.tenant, idempotency_key)

    async def _require_room(self, tenant: str, idempotency_key: str | None) -> None:
        caps = await self._admission.caps()
        await _soon(self._repository.require_room(caps, tenant=tenant, key=idempotency_key))

    async def check(self, principal: Principal, new: NewEdit, *, idempotency_key: str | None = None) -> Checked:
        """What `accept` would make of this, and when it would end. Raises what `accept` would; stores nothing."""
        tenant, ceilings = principal.tenant, Ceilings.of(self._settings.qubico)
        estimating = estimates.estimate(self._repository, tenant=tenant, priority=new.priority, ceilings=ceilings)
        estimate = await _soon(estimating)
        stored = await self._stored(tenant, new, None, idempotency_key) if new.is_fleeting else None
        if stored is None:
            edit, upload = await self._intake.prepare(new_id(), new, tenant=tenant)
            stored = await self._stored(tenant, new, upload, idempotency_key)
        if stored is None:
            await self._require_room(tenant, None)
        return Checked(stored.edit if stored else edit, estimate)

    async def get(self, principal: Principal, edit_id: str) -> Edit:
        """Raises NotFound, Gone (its retention is over, as its id tells) or Unavailable."""
        return (await self._found(principal, edit_id))[0]

    async def page(
        self, principal: Principal, filters: listing.Filters, *, limit: int, cursor: str | None = None
    ) -> Listed:
        """Raises BadCursor for a page mark of another list or tenant, or that we did not make."""
        tenant = principal.tenant
        before = self._unsealed(cursor, tenant, filters) if cursor is not None else None
        edits, last = await _soon(listing.page(self._repository, tenant, filters, before=before, limit=limit))
        sealed = json.dumps([last, _digest(tenant, filters)])
        following = self._links.seal(_CURSOR, sealed) if last is not None else None
        return Listed(edits, following, self._clock() - self._settings.edits.hot)

    async def timeline(self, principal: Principal, edit_id: str) -> list[TimelineEvent]:
        edit, events = await self._found(principal, edit_id)
        if events is None:
            events = await _soon(self._repository.timeline(edit.id))
        return events if events is not None else (await self._from_manifest(edit.id))[1]

    async def cancel(self, principal: Principal, edit_id: str) -> Edit:
        """Raises TooLate once it is being submitted: the provider has no cancel."""
        return await _soon(self._changed(principal, edit_id, self._repository.cancel, already=EditStatus.CANCELED))

    async def retry(self, principal: Principal, edit_id: str) -> Edit:
        """Raises NotFinished, or TooLate for an edit that did not fail, or that has left Redis."""
        return await _soon(self._changed(principal, edit_id, self._repository.retry))

    async def result(self, principal: Principal, edit_id: str) -> EditResult:
        """Raises NotFinished or NotSucceeded."""
        edit = await self.get(principal, edit_id)
        if not edit.status.is_final:
            raise errors.NotFinished(f"{edit.id} has no result yet: it is {edit.status}. Wait until it has ended.")
        if edit.result is None:
            raise errors.NotSucceeded(f"{edit.id} has no result: its status is {edit.status}.")
        return edit.result

    async def input_key(self, principal: Principal, edit_id: str) -> str:
        """The object key of the uploaded picture. Raises NotFound for an edit whose picture is an address."""
        edit = await self.get(principal, edit_id)
        if edit.input.upload is None:
            raise errors.NotFound(f"{edit.id} has no stored picture: its `image` is an address.")
        return f"{layout.edit_folder(edit.id)}/{edit.input.upload}"

    def attempt_of(self, callback_token: str) -> Attempt:
        """Raises NotFound for a token that is not ours."""
        attempt = self._tokens.verify(callback_token)
        if attempt is None:
            raise errors.NotFound("This callback token is not valid.")
        return attempt

    async def called_back(self, attempt: Attempt, *, task_id: str, ended: bool) -> None:
        """The provider reports on `task_id`. Only a hint: the task is read before anything changes."""
        nudge = self._repository.nudge(attempt.edit_id, attempt=attempt.number, task_id=task_id, ended=ended)
        await _soon(nudge)

    async def _stored(self, tenant: str, new: NewEdit, upload: Upload | None, key: str | None) -> Accepted | None:
        """The edit that this key stands for already, or None."""
        idempotency = _idempotency(new, upload, key)
        return await self._or_left(self._repository.replay(tenant, idempotency)) if idempotency else None

    async def _accept(self, edit: Edit, idempotency: Idempotency | None) -> Accepted:
        caps = await self._admission.caps()
        return await self._or_left(self._repository.accept(edit, idempotency, caps), late=unknown())

    async def _or_left(self, answer: Awaitable[_T], *, late: errors.EditsError | None = None) -> _T | Accepted:
        """The answer, or the edit that an idempotency key stands for, where that has left Redis."""
        try:
            return await _soon(answer, late=late)
        except LeftRedis as exc:
            ended, _ = await self._from_manifest(exc.edit_id)
            return Accepted(edit=ended, replayed=True)

    async def _changed(
        self,
        principal: Principal,
        edit_id: str,
        change: Callable[[str], Awaitable[Edit]],
        *,
        already: EditStatus | None = None,
    ) -> Edit:
        """An edit that has left Redis can no longer be changed; it may have the status `already`."""
        edit = await self.get(principal, edit_id)
        with contextlib.suppress(errors.NotFound):
            return await change(edit.id)
        if edit.status is already:
            return edit
        raise errors.TooLate(f"{edit.id} ended as {edit.status} too long ago to be changed; send a new edit.")

    async def _found(self, principal: Principal, edit_id: str) -> tuple[Edit, list[TimelineEvent] | None]:
        """The edit, with its timeline where its manifest was read. Another tenant's edit is NotFound."""
        edit_id = read_id(edit_id)
        edit = await _soon(self._repository.get(edit_id)) if is_id(edit_id) else None
        events = None
        if edit is None:
            edit, events = await self._from_manifest(edit_id)
        if edit.tenant != principal.tenant:
            raise self._missing(edit_id)
        return edit, events

    async def _from_manifest(self, edit_id: str) -> tuple[Edit, list[TimelineEvent]]:
        """An edit that left Redis is in storage until its retention ends."""
        missing = self._missing(edit_id)
        if isinstance(missing, errors.Gone) or not is_id(edit_id):
            raise missing
        try:
            content = await _soon(self._storage.get(layout.manifest_key(edit_id)))
        except ObjectMissing as exc:
            raise missing from exc
        except StorageError as exc:
            raise errors.Unavailable(str(exc)) from exc
        found = manifest.read(content)
        if found is None:
            raise errors.NewerFormat(edit_id) if manifest.is_newer(content) else missing
        return found

    def _missing(self, edit_id: str) -> errors.EditsError:
        """Gone or NotFound, by the id alone: it does not depend on the edit's owner."""
        if is_id(edit_id):
            kept_until = made_at(edit_id) + self._settings.edits.retention
            if kept_until < self._clock():
                return errors.Gone(f"{edit_id} was deleted on {kept_until:%Y-%m-%d}, when its retention ended.")
        return errors.NotFound(f"There is no edit {edit_id[:64]}.")

    def _unsealed(self, cursor: str, tenant: str, filters: listing.Filters) -> str:
        try:
            before, digest = json.loads(self._links.unseal(_CURSOR, cursor))
        except LinkInvalid as exc:
            raise errors.BadCursor("This cursor is not valid. Start again without a cursor.") from exc
        if digest != _digest(tenant, filters):
            raise errors.BadCursor(
                "This cursor belongs to a list with other filters. Send the same filters, or start without a cursor."
            )
        return str(before)


def _idempotency(new: NewEdit, upload: Upload | None, key: str | None) -> Idempotency | None:
    return Idempotency(key=key, fingerprint=new.fingerprint(upload)) if key is not None else None


def _digest(tenant: str, filters: listing.Filters) -> str:
    return hashlib.sha256(json.dumps([tenant, *filters.describe()]).encode()).hexdigest()[:16]


async def _soon(answer: Awaitable[_T], *, late: errors.EditsError | None = None) -> _T:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await answer
    except TimeoutError as exc:
        raise late or errors.Unavailable("Redis or storage did not answer in time.") from exc
