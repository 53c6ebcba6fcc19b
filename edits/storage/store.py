"""Where pictures and manifests are kept: one interface to a folder, S3, Google or Azure. Every await ends in time."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import obstore
from obstore.store import LocalStore, S3Store

from edits.storage import layout
from edits.storage.backends import ObjectMissing, StorageUnavailable, TooLarge, bounded, open_store
from edits.storage.links import Links
from edits.storage.writing import Writer

if TYPE_CHECKING:
    from obstore import Attributes, GetResult, ObjectMeta

CHUNK_BYTES: Final = 256 * 1024

DELETE_AT_ONCE: Final = 1000  # S3's own limit for one request
DELETES_AT_ONCE: Final = 16  # for stores that delete one object a request

PATIENCE: Final = timedelta(seconds=15)

LONGEST_LINK: Final = timedelta(days=7)  # S3's own limit


class ObjectInfo(NamedTuple):
    key: str
    size: int
    etag: str | None
    content_type: str


class Address(NamedTuple):
    url: str
    expires_at: datetime


class Storage(Writer):
    """Every method may raise StorageUnavailable or StorageRefused, and ValueError for a key that no layout makes."""

    def __init__(self, url: str, *, links: Links, public_url: str, patience: timedelta = PATIENCE) -> None:
        """Endpoint and keys of a cloud come from its usual environment variables. Raises StorageRefused.

        `patience` bounds each call of the store; each part of a stream is one call.
        """
        super().__init__(open_store(url), patience=patience)
        self._links = links
        self._public_url = public_url.rstrip("/")

    async def get(self, key: str, *, max_bytes: int = 64 * 1024 * 1024) -> bytes:
        """The whole object; raises ObjectMissing, or TooLarge before it reads past `max_bytes`."""
        async with self._call("a read", key):
            result = await obstore.get_async(self._store, key)
            if result.meta["size"] > max_bytes:
                raise TooLarge(f"{key} has more than {max_bytes} bytes")
            return bytes(await result.bytes_async())

    async def open(self, key: str, *, span: tuple[int, int] | None = None) -> AsyncIterator[bytes]:
        """The whole object, or a span without its end. Raises ObjectMissing, or StorageError for a bad span."""
        async with self._call("a read", key):
            result = await obstore.get_async(self._store, key, options={"range": span} if span else {})
        return self._chunks(key, result)

    async def head(self, key: str) -> ObjectInfo | None:
        try:
            async with self._call("a look-up", key):
                result = await obstore.get_async(self._store, key, options={"head": True})
        except ObjectMissing:
            return None
        return self._info(key, result.meta, result.attributes)

    async def delete(self, keys: Iterable[str]) -> None:
        """Missing objects are ignored."""
        checked = [layout.checked(key) for key in keys]
        if isinstance(self._store, S3Store):
            for at in range(0, len(checked), DELETE_AT_ONCE):
                async with bounded("a delete", "", within=self._patience):
                    await obstore.delete_async(self._store, checked[at : at + DELETE_AT_ONCE])
            return
        for at in range(0, len(checked), DELETES_AT_ONCE):
            deletes = [self._delete(key) for key in checked[at : at + DELETES_AT_ONCE]]
            faults = [fault for fault in await asyncio.gather(*deletes, return_exceptions=True) if fault is not None]
            if faults:
                raise faults[0]

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """All objects in the folder `prefix` and below it, in no promised order."""
        pages = obstore.list(self._store, prefix=layout.checked(prefix), chunk_size=DELETE_AT_ONCE)
        while True:
            async with self._call("a listing", prefix):
                page = await anext(pages, None)
            if page is None:
                return
            for meta in page:
                yield self._info(meta["path"], meta, {})

    async def folders(self, prefix: str) -> Sequence[str]:
        """The names of the folders directly in the folder `prefix`, sorted."""
        async with self._call("a listing", prefix):
            found = await obstore.list_with_delimiter_async(self._store, layout.checked(prefix))
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])

    async def address(self, key: str, *, expires_in: timedelta) -> Address:
        """A link to the object that needs no API key. The object need not exist."""
        if not timedelta() < expires_in <= LONGEST_LINK:
            raise ValueError("a link lasts more than 0 s and at most seven days")
        expires_at = datetime.now(UTC).replace(microsecond=0) + expires_in
        if isinstance(self._store, LocalStore):
            token = self._links.sign(layout.checked(key), expires_at=expires_at)
            return Address(f"{self._public_url}/v1/objects/{token}/{key.rpartition('/')[2]}", expires_at)
        async with self._call("a signature", key):
            return Address(await obstore.sign_async(self._store, "GET", key, expires_in), expires_at)

    async def check(self) -> None:
        """Writes, reads back and deletes a small object. Raises StorageError."""
        key, data = f"checks/{secrets.token_hex(8)}", secrets.token_bytes(32)
        await self.put(key, data, content_type="application/octet-stream")
        try:
            if await self.get(key) != data:
                raise StorageUnavailable("storage gave back other bytes than were written")
        finally:
            await self.delete([key])

    async def _delete(self, key: str) -> None:
        with contextlib.suppress(ObjectMissing):
            async with self._call("a delete", key):
                await obstore.delete_async(self._store, key)

    async def _chunks(self, key: str, result: "GetResult") -> AsyncIterator[bytes]:
        stream = result.stream(min_chunk_size=CHUNK_BYTES)
        while True:
            async with self._call("a read", key):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            yield bytes(chunk)

    def _info(self, key: str, meta: "ObjectMeta", attributes: "Attributes") -> ObjectInfo:
        content_type = attributes.get("Content-Type") or layout.content_type(key)
        return ObjectInfo(key, meta["size"], meta["e_tag"], content_type)
