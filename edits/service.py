"""What one may ask of edits: accept, get, list, timeline, cancel, retry, result, input, callback.

Nothing is answered from memory: each call reads the record, within a time that leaves room for an answer.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from ulid import ULID

from config.settings import Settings
from edits import addresses, errors, layout, listing, manifest, uploads
from edits.attempts import Attempt, Tokens
from edits.backends import ObjectMissing, StorageError
from edits.links import LinkInvalid, Links
from edits.models import Edit, EditInput, EditResult, Priority, TimelineEvent, is_id, new_id
from edits.repository import Accepted, EditRepository, Idempotency
from edits.storage import Storage
from edits.uploads import Upload, Uploads

TENANT = "default"

ANSWER_WITHIN = 1.5
"""Seconds for Redis, all calls and tries together: whoever asks hears within two that it is away."""

SEEDS_BELOW = 2**31

_CURSOR = "page of a list"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEdit:
    """An edit as it was asked for, its fields checked one by one already. `image` is an address or a data URI."""

    prompt: str
    image: str
    width: int | None = None
    height: int | None = None
    steps: int = 28
    seed: int = -1
    priority: Priority = Priority.STANDARD
    expires_in: int | None = None
    external_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    def fingerprint(self, upload: Upload | None) -> str:
        """Two bodies with one fingerprint ask for the same edit, however they were written."""
        body = asdict(self) | ({"image": None, "sha256": upload.sha256} if upload else {})
        return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Listed:
    edits: tuple[Edit, ...]
    next_cursor: str | None


class EditService:
    def __init__(
        self,
        repository: EditRepository,
        storage: Storage,
        links: Links,
        tokens: Tokens,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._repository = repository
        self._storage = storage
        self._links = links
        self._tokens = tokens
        self._settings = settings
        self._clock = clock
        provider = settings.qubico.base_url
        self._provider_is_public = provider is not None and not addresses.is_private(provider)
        self._uploads = Uploads(storage, max_bytes=settings.edits.max_input_bytes)

    async def accept(self, new: NewEdit, *, idempotency_key: str | None = None) -> Accepted:
        """The edit, queued; or the one that this key stands for already. Nothing is kept of what is refused."""
        edit_id = new_id()
        upload = await self._read_upload(edit_id, new)
        edit = self._queued(edit_id, new, upload)
        idempotency = None
        if idempotency_key is not None:
            idempotency = Idempotency(key=idempotency_key, fingerprint=new.fingerprint(upload))
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

    async def get(self, edit_id: str) -> Edit:
        """Raises NotFound, Gone (its retention is over, as its id tells) or Unavailable."""
        edit = await _soon(self._repository.get(edit_id)) if is_id(edit_id) else None
        return edit or (await self._from_manifest(edit_id))[0]

    async def page(self, filters: listing.Filters, *, limit: int, cursor: str | None = None) -> Listed:
        """Raises BadCursor for a page mark of another list, or that we did not make."""
        before = self._unsealed(cursor, filters) if cursor is not None else None
        found = await _soon(listing.page(self._repository, TENANT, filters, before=before, limit=limit))
        following = self._sealed(found.next_before, filters) if found.next_before is not None else None
        return Listed(found.edits, following)

    async def timeline(self, edit_id: str) -> list[TimelineEvent]:
        events = await _soon(self._repository.timeline(edit_id)) if is_id(edit_id) else None
        return events if events is not None else (await self._from_manifest(edit_id))[1]

    async def cancel(self, edit_id: str) -> Edit:
        """Raises TooLate once it is being submitted: the provider has no cancel."""
        return await self._change(edit_id, self._repository.cancel)

    async def retry(self, edit_id: str) -> Edit:
        """Raises NotFinished, or TooLate for an edit that did not fail."""
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

    async def _read_upload(self, edit_id: str, new: NewEdit) -> Upload | None:
        if not uploads.is_data_uri(new.image):
            self._refuse_unreachable(new.image)
            return None
        upload = await self._uploads.read(edit_id, new.image)
        self._refuse_unreachable(await self._uploads.address(upload))
        await _soon(self._repository.ping())  # nothing is written for an edit that cannot be accepted
        return upload

    def _refuse_unreachable(self, address: str) -> None:
        if self._provider_is_public and addresses.is_private(address):
            message = (
                "the provider is on the internet and could not fetch this: only this machine or network reaches it"
            )
            raise errors.InputRefused(message, code="input_unreachable", pointer="/image")

    def _queued(self, edit_id: str, new: NewEdit, upload: Upload | None) -> Edit:
        now = self._clock()
        size = (new.width, new.height)
        if upload and new.width is None:
            size = upload.size
        return Edit(
            id=edit_id,
            tenant=TENANT,
            livemode=self._settings.livemode,
            priority=new.priority,
            external_id=new.external_id,
            metadata=new.metadata,
            input=EditInput(
                prompt=new.prompt,
                image=None if upload else new.image,
                upload=upload.name if upload else None,
                width=size[0],
                height=size[1],
                steps=new.steps,
                seed=secrets.randbelow(SEEDS_BELOW) if new.seed == -1 else new.seed,
            ),
            created_at=now,
            updated_at=now,
            expires_at=now + timedelta(seconds=new.expires_in) if new.expires_in else None,
        )

    async def _accept(self, edit: Edit, idempotency: Idempotency | None) -> Accepted:
        unknown = errors.AcceptUnknown("Redis may have taken the edit; ask again with the same Idempotency-Key.")
        accepting = self._repository.accept(edit, idempotency=idempotency, max_queued=self._settings.edits.max_queued)
        return await _soon(accepting, late=unknown)

    async def _change(self, edit_id: str, change: Callable[[str], Awaitable[Edit]]) -> Edit:
        if not is_id(edit_id):
            raise self._missing(edit_id)
        try:
            return await _soon(change(edit_id))
        except errors.NotFound as exc:
            raise self._missing(edit_id) from exc

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
            raise missing
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


def _digest(filters: listing.Filters) -> str:
    return hashlib.sha256(json.dumps(filters.describe()).encode()).hexdigest()[:16]


async def _soon(answer: Awaitable[_T], *, late: errors.EditsError | None = None) -> _T:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await answer
    except TimeoutError as exc:
        raise late or errors.Unavailable("No answer from Redis or storage in time.") from exc
