"""A real S3 server behind a proxy that removes `ETag` from all replies: everything is stored and read as elsewhere."""

import hashlib
from collections.abc import AsyncIterator

import pytest

from edits.storage.backends import StorageUnavailable
from edits.storage.store import Storage
from tests.integration.edits.objects import KEY, LARGE, PNG, SMALL, everything, open_at, pieces
from tests.parts.proxy import Proxy
from tests.parts.s3 import S3Server, without_etag


@pytest.fixture
async def proxy(s3_server: S3Server, bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    async with without_etag(s3_server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        yield proxy


@pytest.fixture
def storage(proxy: Proxy, bucket_url: str) -> Storage:
    return open_at(bucket_url)


async def read(storage: Storage) -> bytes:
    return b"".join([chunk async for chunk in await storage.open(KEY)])


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["none", "small", "large"])
async def test_an_object_is_written_read_and_deleted(storage: Storage, data: bytes) -> None:
    await storage.put(KEY, data, content_type=PNG)
    assert await read(storage) == data
    info = await storage.head(KEY)
    assert info is not None
    assert (info.size, info.etag, info.content_type) == (len(data), None, PNG)
    await storage.delete([KEY])
    assert await everything(storage) == {}


async def test_a_small_stream_is_written_at_once(storage: Storage) -> None:
    await storage.put_stream(KEY, pieces(SMALL), content_type=PNG, max_bytes=len(SMALL))
    assert await read(storage) == SMALL


async def test_a_large_stream_is_written_at_the_second_try(storage: Storage) -> None:
    with pytest.raises(StorageUnavailable, match="without an ETag"):
        await storage.put_stream(KEY, pieces(LARGE), content_type=PNG, max_bytes=len(LARGE))
    assert await storage.head(KEY) is None
    stored = await storage.put_stream(KEY, pieces(LARGE), content_type=PNG, max_bytes=len(LARGE))
    assert (stored.bytes, stored.sha256) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
    assert await read(storage) == LARGE


async def test_the_check_of_doctor_passes(storage: Storage) -> None:
    await storage.check()
    assert await everything(storage, "checks") == {}


async def test_a_front_that_accepts_writes_and_keeps_nothing_is_unavailable(proxy: Proxy, storage: Storage) -> None:
    proxy.instead = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with pytest.raises(StorageUnavailable):
        await storage.put(KEY, SMALL, content_type=PNG)
