"""Storage that is set up wrongly, away, hung or confused: each fault comes in time, in our words, without a secret."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from edits.storage.backends import ObjectMissing, StorageError, StorageRefused, StorageUnavailable
from edits.storage.store import Storage
from tests.integration.edits.objects import KEY, LARGE, PNG, everything, open_at, pieces
from tests.parts.s3 import S3Server


@pytest.mark.parametrize(
    "url",
    [
        "",
        "objects",
        "file://relative/folder",
        "file:relative",
        "ftp://host/x",
        "s3://",
        "s3:/bucket",
        "https://bucket.s3.amazonaws.com/x",
    ],
)
def test_an_address_that_makes_no_sense_is_refused_by_the_settings_name(url: str):
    with pytest.raises(StorageRefused, match="RETOUCH_STORAGE_URL"):
        open_at(url)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageRefused, match="folder"):
        open_at((tmp_path / "file" / "objects").as_uri())


async def test_azure_and_google_open_by_the_same_door(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(StorageRefused, match=r"az://.*AZURE_\*"):
        open_at("az://container/prefix")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    url, _ = await open_at("az://container/prefix").address(KEY, expires_in=timedelta(minutes=5))
    assert url.startswith(f"https://account.blob.core.windows.net/container/prefix/{KEY}?")
    assert isinstance(open_at("gs://bucket/prefix"), Storage)


async def test_wrong_keys_of_azure_are_refused_and_not_told(container_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmcta2V5LW9mLW91cnM=")
    for fault in await faults_of(open_at(container_url)):
        assert isinstance(fault, StorageRefused)
        assert "403" in str(fault)
        assert "d3Jvbmcta2V5LW9mLW91cnM=" not in str(fault)


async def test_a_missing_container_is_refused_by_name(container_url: str):
    storage = open_at("az://nobody-made-this-container/prefix")
    for call in (storage.get(KEY), everything(storage)):
        with pytest.raises(StorageRefused, match=r"RETOUCH_STORAGE_URL.*ContainerNotFound"):
            await call


async def test_a_folder_that_went_away_is_made_again(tmp_path: Path):
    folder = tmp_path / "objects"
    storage = open_at(folder.as_uri())
    folder.rmdir()
    await storage.check()


async def faults_of(storage: Storage) -> list[Exception]:
    """How each call fails."""
    calls = {
        "put": storage.put(KEY, b"x", content_type=PNG),
        "put_stream": storage.put_stream(KEY, pieces(b"x"), content_type=PNG, max_bytes=10),
        "put_stream of parts": storage.put_stream(KEY, pieces(LARGE), content_type=PNG, max_bytes=20_000_000),
        "get": storage.get(KEY),
        "open": storage.open(KEY),
        "head": storage.head(KEY),
        "delete": storage.delete([KEY]),
        "list": everything(storage),
        "check": storage.check(),
    }
    return [await _fault(name, call) for name, call in calls.items()]


async def _fault(name: str, call: Awaitable[object]) -> Exception:
    with pytest.raises(StorageError) as fault:
        await asyncio.wait_for(call, 90)
    return fault.value


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
async def test_wrong_keys_are_refused_and_not_told(
    name: str, bucket_url: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, "wrong-key-of-ours")
    for fault in await faults_of(open_at(bucket_url)):
        assert isinstance(fault, StorageRefused)
        assert "403" in str(fault)
        for secret in ("wrong-key-of-ours", s3_server.access_key, s3_server.secret_key):
            assert secret not in str(fault)
        assert fault.__cause__ is None
        assert fault.__suppress_context__


async def test_a_missing_bucket_is_refused_by_name(bucket_url: str):
    storage = open_at("s3://nobody-made-this-bucket/prefix")
    for call in (storage.get(KEY), everything(storage)):
        with pytest.raises(StorageRefused, match=r"RETOUCH_STORAGE_URL.*NoSuchBucket"):
            await call


async def test_a_server_that_is_not_there_is_unavailable_soon(bucket_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    for fault in await faults_of(open_at(bucket_url)):
        assert isinstance(fault, StorageUnavailable)
        assert "no connection" in str(fault)


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """A server that gives everyone the same answer, or none at all."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        else:
            await over.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        over.set()


async def test_a_server_that_says_nothing_is_unavailable_in_time(bucket_url: str, monkeypatch: pytest.MonkeyPatch):
    async with answering(None) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for fault in await faults_of(open_at(bucket_url, patience=0.2)):
            assert isinstance(fault, StorageUnavailable)
            assert "within 0.2 s" in str(fault)


def xml(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><AWSAccessKeyId>testkey</AWSAccessKeyId></Error>"
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("answer", "kind", "named"),
    [
        pytest.param(xml("503 Slow Down", "SlowDown"), StorageUnavailable, "status 503 SlowDown", id="overload"),
        pytest.param(
            xml("500 Oops", "InternalError"), StorageUnavailable, "status 500 InternalError", id="server error"
        ),
        pytest.param(xml("429 Too Many", "TooMany"), StorageUnavailable, "status 429", id="throttled"),
        pytest.param(xml("403 Forbidden", "AccessDenied"), StorageRefused, "status 403 AccessDenied", id="no rights"),
        pytest.param(xml("400 Bad", "AuthorizationHeaderMalformed"), StorageRefused, "status 400", id="wrong region"),
        pytest.param(xml("404 Not Found", "NoSuchBucket"), StorageRefused, "no such bucket", id="no bucket"),
        pytest.param(xml("404 Not Found", "NoSuchKey"), ObjectMissing, KEY, id="no object"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", StorageUnavailable, "failed|now", id="half an answer"
        ),
        pytest.param(b"ceci n'est pas HTTP\r\n\r\n", StorageUnavailable, "now", id="garbage"),
    ],
)
async def test_what_a_server_answers_is_told_in_our_words(
    answer: bytes, kind: type[Exception], named: str, bucket_url: str, monkeypatch: pytest.MonkeyPatch
):
    async with answering(answer) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(kind, match=named) as fault:
            await open_at(bucket_url).get(KEY)
    assert "testkey" not in str(fault.value)


async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path):
    storage = open_at(tmp_path.as_uri())
    (tmp_path / "edits").write_bytes(b"a file where a folder should be")
    with pytest.raises(StorageUnavailable):
        await storage.put(KEY, b"x", content_type=PNG)
    with pytest.raises(StorageUnavailable):
        await storage.put_stream(KEY, pieces(LARGE), content_type=PNG, max_bytes=20_000_000)
