"""Storage on a real folder, a real S3 server and, where it is installed, an Azure one: the same promises on all."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from edits.storage.backends import ObjectMissing, StorageError, TooLarge
from edits.storage.links import LinkInvalid
from edits.storage.store import Storage
from tests.integration.edits.objects import KEY, LARGE, LINKS, PNG, SMALL, everything, open_at, pieces


async def test_what_was_put_is_got_with_its_type_and_size(storage: Storage):
    await storage.put(KEY, SMALL, content_type=PNG)
    assert await storage.get(KEY) == SMALL
    info = await storage.head(KEY)
    assert info
    assert (info.key, info.size, info.content_type) == (KEY, len(SMALL), PNG)
    assert info.etag


async def test_putting_again_replaces(storage: Storage):
    await storage.put(KEY, b"first", content_type=PNG)
    await storage.put(KEY, b"second", content_type=PNG)
    assert await storage.get(KEY) == b"second"


async def test_a_large_upload_is_put_whole(storage: Storage):
    await storage.put(KEY, LARGE, content_type=PNG)
    assert hashlib.sha256(await storage.get(KEY)).digest() == hashlib.sha256(LARGE).digest()


async def test_getting_is_bounded(storage: Storage):
    await storage.put(KEY, SMALL, content_type=PNG)
    with pytest.raises(TooLarge):
        await storage.get(KEY, max_bytes=len(SMALL) - 1)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        pytest.param(None, b"0123456789", id="all"),
        pytest.param((2, 5), b"234", id="a part"),
        pytest.param((0, 4), b"0123", id="from the start"),
        pytest.param((8, 99), b"89", id="past the end"),
        pytest.param((10, 11), None, id="beginning at the end"),
        pytest.param((50, 60), None, id="beyond the end"),
    ],
)
async def test_a_range_of_an_object_is_opened(storage: Storage, span: tuple[int, int] | None, expected: bytes | None):
    await storage.put(KEY, b"0123456789", content_type=PNG)
    if expected is None:
        with pytest.raises(StorageError, match="range"):
            await storage.open(KEY, span=span)
        return
    assert b"".join([chunk async for chunk in await storage.open(KEY, span=span)]) == expected


async def test_what_is_not_there_is_missing(storage: Storage):
    assert await storage.head(KEY) is None
    with pytest.raises(ObjectMissing, match=KEY):
        await storage.get(KEY)
    with pytest.raises(ObjectMissing):
        await storage.open(KEY)
    assert await everything(storage, "edits/2026") == {}


async def test_deleting_takes_what_is_there_and_forgives_the_rest(storage: Storage):
    keys = [f"edits/a/{number}.png" for number in range(3)]
    for key in keys:
        await storage.put(key, b"x", content_type=PNG)
    await storage.delete(["edits/a/missing.png", *keys[:2]])
    assert await everything(storage) == {keys[2]: 1}
    await storage.delete(keys)
    await storage.delete([])
    assert await everything(storage) == {}


async def test_deleting_the_last_object_of_a_folder_takes_the_folder(tmp_path: Path):
    storage = open_at(tmp_path.as_uri())
    await storage.put(KEY, b"x", content_type=PNG)
    await storage.delete([KEY])
    assert not any((tmp_path / name).exists() for name in ("edits", "edits/2026"))


async def test_a_listing_is_of_one_folder_and_below(storage: Storage):
    for key in ("edits/a/result.png", "edits/a/2/result.png", "edits/ab/result.png"):
        await storage.put(key, b"x", content_type=PNG)
    assert set(await everything(storage, "edits/a")) == {"edits/a/result.png", "edits/a/2/result.png"}


async def test_a_long_listing_is_whole(storage: Storage):
    keys = [f"edits/a/{number}" for number in range(1001)]  # a page of S3 has 1000
    for at in range(0, len(keys), 50):
        await asyncio.gather(*(storage.put(key, b"x", content_type=PNG) for key in keys[at : at + 50]))
    assert set(await everything(storage)) == set(keys)
    await storage.delete(keys)
    assert await everything(storage) == {}


async def test_the_folders_of_a_folder_are_named(storage: Storage):
    for key in ("edits/2026/11/22/a", "edits/2026/9/1/a", "edits/2025/1/1/a", "edits/readme", "editsx/2024/a"):
        await storage.put(key, b"x", content_type=PNG)
    assert await storage.folders("edits") == ["2025", "2026"]
    assert await storage.folders("edits/2026") == ["11", "9"]
    assert await storage.folders("edits/2026/11/22") == []
    assert await storage.folders("nothing/there") == []


@pytest.mark.parametrize(
    "key", ["../outside.png", "/etc/passwd", "edits/../../outside.png", "edits//a.png", "", "edits/a#1"]
)
async def test_a_key_that_leads_elsewhere_is_refused(storage: Storage, key: str):
    for call in (
        lambda: storage.put(key, b"x", content_type=PNG),
        lambda: storage.put_stream(key, pieces(b"x"), content_type=PNG, max_bytes=10),
        lambda: storage.get(key),
        lambda: storage.open(key),
        lambda: storage.head(key),
        lambda: storage.delete([key]),
        lambda: storage.address(key, expires_in=timedelta(minutes=1)),
    ):
        with pytest.raises(ValueError, match="key"):
            await call()


async def test_a_check_passes_and_leaves_nothing(storage: Storage):
    await storage.check()
    assert await everything(storage, "checks") == {}


@pytest.mark.parametrize("lasting", [timedelta(), timedelta(seconds=-1), timedelta(days=8)])
async def test_a_link_has_bounds(storage: Storage, lasting: timedelta):
    with pytest.raises(ValueError, match="link"):
        await storage.address(KEY, expires_in=lasting)


async def test_a_folders_link_leads_to_our_own_route(tmp_path: Path):
    before = datetime.now(UTC)
    url, expires_at = await open_at(tmp_path.as_uri()).address(KEY, expires_in=timedelta(minutes=5))
    start, token, filename = url.rsplit("/", 2)
    assert (start, filename) == ("http://127.0.0.1:8000/v1/objects", "result.png")
    assert LINKS.verify(token, now=before) == KEY
    assert timedelta(minutes=4, seconds=58) < expires_at - before <= timedelta(minutes=5)
    with pytest.raises(LinkInvalid):
        LINKS.verify(token[:-1] + ("A" if token[-1] != "A" else "B"), now=before)


async def test_an_s3_link_gives_the_picture_to_whoever_holds_it_unchanged(bucket_url: str):
    storage = open_at(bucket_url)
    await storage.put(KEY, SMALL, content_type=PNG)
    await storage.put(KEY.replace("result", "other"), b"other", content_type=PNG)
    url, expires_at = await storage.address(KEY, expires_in=timedelta(minutes=5))
    assert timedelta(minutes=4) < expires_at - datetime.now(UTC) <= timedelta(minutes=5)
    async with httpx.AsyncClient(timeout=90, trust_env=False) as client:
        answer = await client.get(url)
        assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, PNG, SMALL)
        signature = url[-8:]
        for changed in (
            url.replace("result.png", "other.png"),
            url.replace("X-Amz-Expires=300", "X-Amz-Expires=301"),
            url.removesuffix(signature) + ("0" * 8 if signature != "0" * 8 else "1" * 8),
            url.partition("?")[0],
        ):
            assert (await client.get(changed)).status_code == 403


async def test_an_azure_link_gives_the_picture_to_whoever_holds_it_unchanged(container_url: str):
    storage = open_at(container_url)
    await storage.put(KEY, SMALL, content_type=PNG)
    url, expires_at = await storage.address(KEY, expires_in=timedelta(minutes=5))
    assert timedelta(minutes=4) < expires_at - datetime.now(UTC) <= timedelta(minutes=5)
    async with httpx.AsyncClient(timeout=90, trust_env=False) as client:
        answer = await client.get(url)
        assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, PNG, SMALL)
        for changed in (url.replace("result.png", "other.png"), url.partition("?")[0]):
            assert (await client.get(changed)).status_code in {403, 404}
