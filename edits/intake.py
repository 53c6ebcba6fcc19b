"""Turns a checked request into an edit that can be accepted: reads its picture or refuses it. Stores nothing."""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from config import values
from config.settings import Settings
from edits.errors import InputRefused
from edits.media import data_uri
from edits.models import DEFAULT_STEPS, Edit, EditInput, Priority
from edits.network import addresses, signatures
from edits.network.fetching import Fetcher
from edits.storage.uploads import Upload, Uploads

SEEDS_BELOW: Final = 2**31

FETCHED_WITHIN: Final = timedelta(seconds=10)  # from the submission; a signed address must work so long
LOOK_AHEAD: Final = timedelta(days=7)  # an address that works for longer counts as unlimited; `expires_in` is no longer

_POINTER: Final = "/image"


@dataclass(frozen=True, kw_only=True)
class NewEdit:
    """A requested edit; its fields are already checked one by one."""

    prompt: str = field(repr=False)  # neither prompt nor picture may reach a log
    image: str | bytes = field(repr=False)  # an address, a data URI, or a file's bytes
    copy: bool = False  # we fetch and store the picture at once; otherwise the provider fetches it
    width: int | None = None
    height: int | None = None
    steps: int = DEFAULT_STEPS
    seed: int = -1
    priority: Priority = Priority.STANDARD
    expires_in: int | None = None
    external_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @cached_property
    def address(self) -> str | None:
        return self.image if isinstance(self.image, str) and not data_uri.is_data_uri(self.image) else None

    @property
    def is_passed_on(self) -> bool:
        """Whether the provider fetches the picture by its address."""
        return self.address is not None and not self.copy

    @property
    def is_fleeting(self) -> bool:
        """Whether the same request may fail when it is repeated: its address may have stopped working."""
        return self.address is not None and (self.copy or signatures.expires_at(self.address) is not None)

    def fingerprint(self, upload: Upload | None = None) -> str:
        """Equal for two requests for the same edit. A file or data URI counts by its hash, an address by its text."""
        body: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        copied = body.pop("copy")
        if self.address is None:
            body |= {"image": None, "sha256": upload.sha256 if upload else None}
        elif copied:
            body["image_fetch"] = "copy"
        return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Intake:
    def __init__(self, uploads: Uploads, settings: Settings, *, clock: Callable[[], datetime]) -> None:
        self._uploads = uploads
        self._livemode = settings.livemode
        self._clock = clock
        self._fetcher = Fetcher(max_bytes=settings.edits.max_input_bytes, trusted=_named(settings))
        provider = settings.qubico.base_url
        self._provider_is_public = provider is not None and not addresses.is_private(provider)

    async def prepare(self, edit_id: str, new: NewEdit, *, tenant: str) -> tuple[Edit, Upload | None]:
        """The edit, and what is to be stored before it is accepted. Raises InputRefused, or Unavailable."""
        ends = signatures.expires_at(new.address) if new.address is not None else None
        if ends is not None and ends <= self._clock():
            reason = f"this signed address expired at {ends:%Y-%m-%dT%H:%M:%SZ}: sign a new one"
            raise InputRefused(reason, code="invalid", pointer=_POINTER)
        upload = await self._upload(edit_id, new)
        return self._queued(edit_id, tenant, new, upload, None if upload else ends), upload

    async def _upload(self, edit_id: str, new: NewEdit) -> Upload | None:
        if new.address is not None and new.is_passed_on:
            self._refuse_unreachable(new.address)
            return None
        picture = new.image if new.address is None else await self._fetcher.fetch(new.address)
        upload = await self._uploads.read(edit_id, picture)
        self._refuse_unreachable(await self._uploads.address(upload))
        return upload

    def _refuse_unreachable(self, address: str) -> None:
        if self._provider_is_public and addresses.is_private(address):
            message = "the provider cannot fetch this address: it leads to this machine or a private network"
            raise InputRefused(message, code="input_unreachable", pointer=_POINTER)

    def _queued(self, edit_id: str, tenant: str, new: NewEdit, upload: Upload | None, ends: datetime | None) -> Edit:
        now = self._clock()
        width, height = upload.size if upload and new.width is None else (new.width, new.height)
        return Edit(
            id=edit_id,
            tenant=tenant,
            livemode=self._livemode,
            priority=new.priority,
            external_id=new.external_id,
            metadata=new.metadata,
            input=EditInput(
                prompt=new.prompt,
                image=None if upload else new.address,
                upload=upload.name if upload else None,
                width=width,
                height=height,
                steps=new.steps,
                seed=secrets.randbelow(SEEDS_BELOW) if new.seed == -1 else new.seed,
            ),
            created_at=now,
            updated_at=now,
            expires_at=_expiry(now, new.expires_in, ends),
        )


def _expiry(now: datetime, expires_in: int | None, address_ends: datetime | None) -> datetime | None:
    """The latest time of submission: by `expires_in`, and while the provider can still fetch the picture."""
    requested = now + timedelta(seconds=expires_in) if expires_in else None
    works = address_ends - FETCHED_WITHIN if address_ends and address_ends < now + LOOK_AHEAD else None
    return min((moment for moment in (requested, works) if moment), default=None)


def _named(settings: Settings) -> set[tuple[str, int]]:
    """Hosts and ports of the provider in the settings: pictures may be fetched there even if they are private."""
    hosts = (values.split_host(host) for host in settings.qubico.result_hosts)
    named = {(name, port or 443) for name, port in hosts}
    return named | ({addresses.place(settings.qubico.base_url)} if settings.qubico.base_url else set())
