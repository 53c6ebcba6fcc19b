"""What one may ask of edits: accept, get, list, timeline, cancel, retry, result, input, callback.

Nothing is answered from memory: each call reads the record, within a time that leaves room for an answer.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from ulid import ULID

from config.settings import Settings
from edits import errors, estimates, listing
from edits.attempts import Attempt, Tokens
from edits.db.acceptance import Accepted, Idempotency, LeftRedis
from edits.db.admission import Admission
from edits.db.repository import EditRepository
from edits.estimates import Ceilings, Estimate
from edits.intake import TENANT, Intake, NewEdit
from edits.models import Edit, EditResult, EditStatus, TimelineEvent, is_id, new_id
from edits.storage import layout, manifest
from edits.storage.backends import ObjectMissing, StorageError
from edits.storage.links import LinkInvalid, Links
from edits.storage.store import Storage
from edits.storage.uploads import Upload, Uploads

ANSWER_WITHIN = 1.5
"""Seconds for Redis, all calls and tries together: whoever asks hears within two that it is away."""

_CURSOR = "page of a list"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Checked:
    edit: Edit
    """As it would be accepted; or as it is, where the idempotency key stands for one already."""

    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Listed:
    edits: tuple[Edit, ...]
    next_cursor: str | None
    since: datetime
    """The list holds every edit accepted since then; of older ones, those that ended after it or have not ended."""


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

    async def accept(self, new: NewEdit, *, idempotency_key: str | None = None) -> Accepted:
        """The edit, queued; or the one that this key stands for already. Nothing is kept of what is refused."""
        with self._admission.counted():
            return await self._accepted(new, idempotency_key)

    async def _accepted(self, new: NewEdit, idempotency_key: str | None) -> Accepted:
        if idempotency_key is not None and new.is_fleeting:
            kept = await self._kept(new, None, idempotency_key)
            if kept is not None:
                return kept
        if not new.is_passed_on:
            await self._require_room(idempotency_key)  # no picture is read for an edit that cannot be accepted
        edit_id = new_id()
        edit, upload = await self._intake.prepare(edit_id, new)
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

    async def require_room(self, idempotency_key: str | None) -> None:
        """Raises QueueFull where an edit would be refused now. It may be asked before the edit itself is read."""
        with self._admission.counted():
            await self._require_room(idempotency_key)

    async def _require_room(self, idempotency_key: str | None) -> None:
        caps = await self._admission.caps()
        await _soon(self._repository.require_room(caps, tenant=TENANT, key=idempotency_key))

    async def check(self, new: NewEdit, *, idempotency_key: str | None = None) -> Checked:
        """What `accept` would make of this, and when it would be done. Raises what `accept` would; keeps nothing."""
        limits = self._settings.qubico
        ceilings = Ceilings(creates_per_second=limits.creates_per_second, max_in_flight=limits.max_in_flight)
        estimating = estimates.estimate(self._repository, tenant=TENANT, priority=new.priority, ceilings=ceilings)
        estimate = await _soon(estimating)
        kept = await self._kept(new, None, idempotency_key) if new.is_fleeting else None
        if kept is None:
            edit, upload = await self._intake.prepare(new_id(), new)
            kept = await self._kept(new, upload, idempotency_key)
        if kept is not None:
            return Checked(kept.edit, estimate)
        await self._require_room(None)
        return Checked(edit, estimate)

    async def get(self, edit_id: str) -> Edit:
        """Raises NotFound, Gone (its retention is over, as its id tells) or Unavailable."""
        edit = await _soon(self._repository.get(edit_id)) if is_id(edit_id) else None
        return edit or (await self._from_manifest(edit_id))[0]

    async def page(self, filters: listing.Filters, *, limit: int, cursor: str | None = None) -> Listed:
        """Raises BadCursor for a page mark of another list, or that we did not make."""
        before = self._unsealed(cursor, filters) if cursor is not None else None
        found = await _soon(listing.page(self._repository, TENANT, filters, before=before, limit=limit))
        following = self._sealed(found.next_before, filters) if found.next_before is not None else None
        return Listed(found.edits, following, self._clock() - self._settings.edits.hot)

    async def timeline(self, edit_id: str) -> list[TimelineEvent]:
        events = await _soon(self._repository.timeline(edit_id)) if is_id(edit_id) else None
        return events if events is not None else (await self._from_manifest(edit_id))[1]

    async def cancel(self, edit_id: str) -> Edit:
        """Raises TooLate once it is being submitted: the provider has no cancel."""
        return await self._change(edit_id, self._repository.cancel, already=EditStatus.CANCELED)

    async def retry(self, edit_id: str) -> Edit:
        """Raises NotFinished, or TooLate for an edit that did not fail, or so long ago that it has left Redis."""
        return await self._change(edit_id, self._repository.retry)

    async def result(self, edit_id: str) -> EditResult:
        """Raises NotFinished or NotSucceeded."""
        edit = await self.get(edit_id)
        if not edit.status.is_final:
            raise errors.NotFinished(f"{edit_id} is {edit.status}: its result is not there yet.")
        if edit.result is None:
            raise errors.NotSucceeded(f"{edit_id} has no result: it is {edit.status}.")
        return edit.result

    async def input_key(self, edit_id: str) -> str:
        """Where the uploaded picture is. Raises NotFound for an edit whose picture was given as an address."""
        edit = await self.get(edit_id)
        if edit.input.upload is None:
            raise errors.NotFound(f"The picture of {edit_id} was given as an address, not uploaded.")
        return f"{layout.edit_folder(edit_id)}/{edit.input.upload}"

    def attempt_of(self, callback_token: str) -> Attempt:
        """Raises NotFound for a token that is not ours."""
        attempt = self._tokens.verify(callback_token)
        if attempt is None:
            raise errors.NotFound("There is no such callback.")
        return attempt

    async def called_back(self, attempt: Attempt, *, task_id: str, ended: bool) -> None:
        """Something happened to `task_id`, says the provider. Only a hint: the task is read before it is believed."""
        nudge = self._repository.nudge(attempt.edit_id, attempt=attempt.number, task_id=task_id, ended=ended)
        await _soon(nudge)

    async def _kept(self, new: NewEdit, upload: Upload | None, key: str | None) -> Accepted | None:
        """The edit that the key stands for already."""
        idempotency = _idempotency(new, upload, key)
        if idempotency is None:
            return None
        try:
            return await _soon(self._repository.replay(TENANT, idempotency))
        except LeftRedis as exc:
            ended, _ = await self._from_manifest(exc.edit_id)
            return Accepted(edit=ended, replayed=True)

    async def _accept(self, edit: Edit, idempotency: Idempotency | None) -> Accepted:
        unknown = errors.AcceptUnknown("Redis may have taken the edit; ask again with the same Idempotency-Key.")
        caps = await self._admission.caps()
        accepting = self._repository.accept(
            edit,
            idempotency=idempotency,
            max_queued=caps.max_queued,
            max_of_tenant=caps.max_of_tenant,
            no_memory=caps.no_memory,
        )
        try:
            return await _soon(accepting, late=unknown)
        except LeftRedis as exc:
            ended, _ = await self._from_manifest(exc.edit_id)
            return Accepted(edit=ended, replayed=True)

    async def _change(
        self, edit_id: str, change: Callable[[str], Awaitable[Edit]], *, already: EditStatus | None = None
    ) -> Edit:
        """What has left Redis cannot be changed any more; it may be as it is asked to be `already`."""
        try:
            if is_id(edit_id):
                return await _soon(change(edit_id))
        except errors.NotFound:
            pass
        ended, _ = await self._from_manifest(edit_id)
        if ended.status is already:
            return ended
        raise errors.TooLate(f"{edit_id} ended as {ended.status} too long ago to be changed; send a new edit.")

    async def _from_manifest(self, edit_id: str) -> tuple[Edit, list[TimelineEvent]]:
        """What has left Redis is in storage until its retention is over."""
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
        if is_id(edit_id):
            kept_until = ULID.from_str(edit_id[5:]).datetime + self._settings.edits.retention
            if kept_until < self._clock():
                return errors.Gone(f"{edit_id} is no longer kept: its time was over on {kept_until:%Y-%m-%d}.")
        return errors.NotFound(f"There is no edit {edit_id[:64]}.")

    def _sealed(self, before: str, filters: listing.Filters) -> str:
        return self._links.seal(_CURSOR, json.dumps([before, _digest(filters)]))

    def _unsealed(self, cursor: str, filters: listing.Filters) -> str:
        try:
            before, digest = json.loads(self._links.unseal(_CURSOR, cursor))
        except LinkInvalid as exc:
            raise errors.BadCursor("This cursor is not one of ours; begin without one.") from exc
        if digest != _digest(filters):
            raise errors.BadCursor("This cursor belongs to a list with other filters; repeat those, or begin without.")
        return str(before)


def _idempotency(new: NewEdit, upload: Upload | None, key: str | None) -> Idempotency | None:
    return Idempotency(key=key, fingerprint=new.fingerprint(upload)) if key is not None else None


def _digest(filters: listing.Filters) -> str:
    return hashlib.sha256(json.dumps(filters.describe()).encode()).hexdigest()[:16]


async def _soon(answer: Awaitable[_T], *, late: errors.EditsError | None = None) -> _T:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await answer
    except TimeoutError as exc:
        raise late or errors.Unavailable("No answer from Redis or storage in time.") from exc
