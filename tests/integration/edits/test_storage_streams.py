"""Streams into storage: counted, hashed and capped; a broken one leaves the earlier object and nothing else."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from edits.storage.backends import TooLarge
from edits.storage.store import Storage
from tests.integration.edits.objects import KEY, LARGE, PNG, SMALL, everything, files_below, pieces
from tests.parts.s3 import S3Server

Leftovers = Callable[[], Awaitable[list[str]]]


@pytest.fixture
def hidden_parts(request: pytest.FixtureRequest, storage_url: str, tmp_path: Path) -> Leftovers:
    """What uploads left behind where no listing shows it."""

    async def look() -> list[str]:
        if storage_url.startswith("file"):
            return files_below(tmp_path)
        if storage_url.startswith("az"):
            return []  # blocks that were not committed belong to no key, and Azure drops them after a week
        server: S3Server = request.getfixturevalue("s3_server")
        async with httpx.AsyncClient(timeout=90, trust_env=False) as client:
            answer = await client.get(
                f"http://127.0.0.1:{server.filer_port}/buckets/{server.bucket}/.uploads/",
                headers={"Accept": "application/json"},
            )
        return [entry["FullPath"] for entry in json.loads(answer.text or "{}").get("Entries") or ()]

    return look


async def nothing_is_left(hidden_parts: Leftovers) -> None:
    """The S3 server throws the parts of an aborted upload away a moment after it said so."""
    for _ in range(9000):
        if not await hidden_parts():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"left behind: {await hidden_parts()}")


@pytest.mark.parametrize(
    "data", [pytest.param(b"", id="none"), pytest.param(SMALL, id="one part"), pytest.param(LARGE, id="parts")]
)
async def test_a_stream_is_put_counted_and_hashed(storage: Storage, data: bytes):
    stored = await storage.put_stream(KEY, pieces(data), content_type=PNG, max_bytes=len(data))
    assert (stored.bytes, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    info = await storage.head(KEY)
    assert info is not None
    assert (info.size, info.content_type) == (len(data), PNG)
    assert b"".join([chunk async for chunk in await storage.open(KEY)]) == data


@pytest.mark.parametrize("data", [pytest.param(SMALL, id="one part"), pytest.param(LARGE, id="parts")])
async def test_a_stream_over_the_cap_leaves_nothing(storage: Storage, data: bytes, hidden_parts: Leftovers):
    with pytest.raises(TooLarge, match=str(len(data) - 1)):
        await storage.put_stream(KEY, pieces(data), content_type=PNG, max_bytes=len(data) - 1)
    assert await storage.head(KEY) is None
    assert await everything(storage) == {}
    await nothing_is_left(hidden_parts)


class DownloadBroke(OSError):
    """What the far end of a copy raises; an OSError, so that it might be taken for one of storage's own."""


@pytest.mark.parametrize("sent", [pytest.param(SMALL, id="one part"), pytest.param(LARGE, id="parts")])
async def test_a_stream_that_breaks_leaves_what_was_there(storage: Storage, sent: bytes, hidden_parts: Leftovers):
    async def breaking() -> AsyncIterator[bytes]:
        async for piece in pieces(sent):
            yield piece
        raise DownloadBroke

    await storage.put(KEY, b"before", content_type=PNG)
    with pytest.raises(DownloadBroke):
        await storage.put_stream(KEY, breaking(), content_type=PNG, max_bytes=20_000_000)
    assert await storage.get(KEY) == b"before"
    await storage.delete([KEY])
    await nothing_is_left(hidden_parts)


async def test_a_stream_given_up_midway_shows_at_no_time_and_leaves_nothing(
    storage: Storage, storage_url: str, hidden_parts: Leftovers
):
    stalled = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        async for piece in pieces(LARGE):
            yield piece
        stalled.set()
        await asyncio.Event().wait()

    copy = asyncio.create_task(storage.put_stream(KEY, stalling(), content_type=PNG, max_bytes=20_000_000))
    async with asyncio.timeout(90):
        await stalled.wait()
    assert await hidden_parts() != [] or storage_url.startswith("az")
    assert await storage.head(KEY) is None
    assert await everything(storage) == {}
    copy.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copy
    await nothing_is_left(hidden_parts)
