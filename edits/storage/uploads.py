"""Uploaded pictures: checked, normalised, stored before their edit is accepted, removed if it is not."""

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from edits.errors import InputRefused, Unavailable
from edits.media import cleaning, data_uri, pictures
from edits.media.kinds import PictureInvalid
from edits.storage import layout
from edits.storage.backends import StorageError
from edits.storage.store import Storage

OPENED_AT_ONCE: Final = 2  # decoded at a time by one process; the largest takes 170 MiB (JPEG) to 620 MiB (WebP)

_POINTER: Final = "/image"
_A_MOMENT: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Upload:
    key: str
    content_type: str
    sha256: str  # of the bytes as sent; the stored bytes may differ (cleaning.py)
    size: tuple[int, int]  # width and height: the allowed output size nearest to its own shape
    data: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]


class Uploads:
    def __init__(self, storage: Storage, *, max_bytes: int) -> None:
        self._storage = storage
        self._max_bytes = max_bytes
        self._opening = asyncio.Semaphore(OPENED_AT_ONCE)

    async def read(self, edit_id: str, picture: str | bytes) -> Upload:
        """The picture in a data URI or a file, decoded once and normalised. Raises InputRefused."""
        try:
            async with self._opening:
                return await asyncio.to_thread(_read, edit_id, picture, self._max_bytes)
        except PictureInvalid as exc:
            raise InputRefused(str(exc), code=exc.code, pointer=_POINTER) from exc

    async def address(self, upload: Upload) -> str:
        """An address like the one that the provider will get. Raises Unavailable."""
        try:
            return (await self._storage.address(upload.key, expires_in=_A_MOMENT)).url
        except StorageError as exc:
            raise Unavailable(str(exc)) from exc

    async def keep(self, upload: Upload) -> None:
        """Raises Unavailable."""
        try:
            await self._storage.put(upload.key, upload.data, content_type=upload.content_type)
        except StorageError as exc:
            raise Unavailable(str(exc)) from exc

    async def remove(self, upload: Upload) -> None:
        """Deletes it, as its edit was not accepted. If that fails, retention deletes it later."""
        with contextlib.suppress(StorageError):
            await self._storage.delete([upload.key])


def _read(edit_id: str, picture: str | bytes, max_bytes: int) -> Upload:
    sent = picture if isinstance(picture, bytes) else data_uri.parse(picture, max_bytes=max_bytes)[1]
    if not sent:
        raise PictureInvalid("the picture holds no bytes")
    info, kept = cleaning.clean(sent, max_bytes=max_bytes)
    return Upload(
        key=layout.input_key(edit_id, info.extension),
        content_type=info.content_type,
        sha256=hashlib.sha256(sent).hexdigest(),
        size=pictures.nearest_size(info.width, info.height),
        data=kept,
    )
