"""Writes objects: in one request, or in parts when they are large. An object appears whole or not at all."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.store import LocalStore

from edits.storage import layout
from edits.storage.backends import NoETag, StorageError, StorageUnavailable, Store, TooLarge, bounded

if TYPE_CHECKING:
    from obstore import Attributes

PART_BYTES: Final = 5 * 1024 * 1024  # the smallest part S3 takes. An object up to this size is written in one request.

PARTS_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class StoredObject:
    bytes: int
    sha256: str


class Writer:
    """Writes to one store. A server that sends no `ETag` cannot join parts, so it gets each object in one request."""

    def __init__(self, store: Store, *, patience: timedelta) -> None:
        self._store = store
        self._patience = patience
        self._takes_parts = True

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        """Replaces the object."""
        try:
            await self._put(key, data, content_type=content_type)
        except NoETag:
            await self._put_without_etag(key, data, content_type=content_type)

    async def put_stream(
        self, key: str, chunks: AsyncIterator[bytes], *, content_type: str, max_bytes: int
    ) -> StoredObject:
        """Replaces the object once the stream has ended well. Raises TooLarge past `max_bytes`.

        Errors of `chunks` are raised unchanged. After any error the key holds what it held before.
        """
        layout.checked(key)
        measured = _Measured(chunks, max_bytes=max_bytes, key=key)
        first = await measured.first(PART_BYTES if self._takes_parts else max_bytes + 1)
        if measured.ended:
            await self.put(key, first, content_type=content_type)
        else:
            await self._put_parts(key, first, measured, content_type=content_type)
        return StoredObject(measured.bytes, measured.sha256)

    async def _put(self, key: str, data: bytes, *, content_type: str) -> None:
        async with self._call("a write", key):
            await obstore.put_async(
                self._store,
                key,
                data,
                attributes=self._attributes(content_type),
                use_multipart=None if self._takes_parts else False,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

    async def _put_without_etag(self, key: str, data: bytes, *, content_type: str) -> None:
        """The client reports a missing `ETag` only after the server answered 2xx: the stored object decides."""
        self._takes_parts = False
        if len(data) > PART_BYTES:
            with contextlib.suppress(NoETag):
                await self._put(key, data, content_type=content_type)
        async with self._call("a write", key):
            there = await obstore.head_async(self._store, key)
        if there["size"] != len(data):
            raise StorageUnavailable("storage accepted a write, but does not hold the object")

    async def _put_parts(self, key: str, first: bytes, rest: AsyncIterator[bytes], *, content_type: str) -> None:
        writer = obstore.open_writer_async(
            self._store,
            key,
            attributes=self._attributes(content_type),
            buffer_size=PART_BYTES,
            max_concurrency=PARTS_AT_ONCE,
        )
        try:
            async with self._call("a write", key):
                await writer.write(first)
            async for chunk in rest:
                async with self._call("a write", key):
                    await writer.write(chunk)
            async with self._call("a write", key):
                await writer.close()
        except BaseException as error:
            if isinstance(error, NoETag):
                self._takes_parts = False  # the next try sends one request
            # Given the error, the writer deletes its parts; where it cannot, they stay hidden under no key.
            with contextlib.suppress(StorageError):
                async with self._call("a write", key):
                    await writer.__aexit__(type(error), error, None)
            raise

    def _call(self, operation: str, key: str) -> contextlib.AbstractAsyncContextManager[None]:
        return bounded(operation, layout.checked(key), within=self._patience)

    def _attributes(self, content_type: str) -> "Attributes | None":
        return None if isinstance(self._store, LocalStore) else {"Content-Type": content_type}


class _Measured:
    """A stream counted and hashed as it is read; raises TooLarge as soon as it is."""

    def __init__(self, chunks: AsyncIterator[bytes], *, max_bytes: int, key: str) -> None:
        self._chunks = chunks
        self._max_bytes = max_bytes
        self._key = key
        self._hash = hashlib.sha256()
        self.bytes = 0
        self.ended = False

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def first(self, size: int) -> bytes:
        """At least `size` bytes, or all there are: then `ended` is true."""
        start: list[bytes] = []
        while self.bytes < size and not self.ended:
            start.append(await anext(self, b""))
        return b"".join(start)

    def __aiter__(self) -> "_Measured":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self.ended = True
            raise
        self.bytes += len(chunk)
        if self.bytes > self._max_bytes:
            raise TooLarge(f"{self._key} has more than {self._max_bytes} bytes")
        self._hash.update(chunk)
        return chunk
