"""Answers as real file hosts send them, byte by byte on a socket: what a browser takes is taken, under caps."""

import asyncio
import gzip
import shutil
import ssl
import subprocess
import tracemalloc
import zlib
from pathlib import Path

import pytest

from edits.network.fetching import MOST_HEADER_BYTES, Fetcher
from tests.contract.wire import Provider, answer, provider, then_closes
from tests.integration.edits.sites import CAP, Names, refused

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(PICTURE)
CHUNKS = b"100\r\n" + PICTURE[:256] + b"\r\n%x\r\n" % (len(PICTURE) - 256) + PICTURE[256:] + b"\r\n0\r\n\r\n"


def fetcher_of(host: Provider, max_bytes: int = CAP) -> Fetcher:
    return Fetcher(max_bytes=max_bytes, trusted=[("127.0.0.1", host.port)])


async def fetched(sent: bytes, max_bytes: int = CAP) -> bytes:
    async with provider(then_closes(sent)) as host:
        return await fetcher_of(host, max_bytes).fetch(f"{host.base_url}/a.png")


async def refused_as(sent: bytes, max_bytes: int = CAP) -> tuple[str, str]:
    async with provider(then_closes(sent)) as host:
        return await refused(fetcher_of(host, max_bytes), f"{host.base_url}/a.png")


def packed(encoding: str, body: bytes) -> bytes:
    return answer("200 OK", body, f"Content-Encoding: {encoding}")


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    "encoding",
    ["", " ", "identity", "Identity", "base64", "aws-chunked", "utf-8", "UTF-8", "none", "aws-chunked,identity"],
)
async def test_a_label_that_is_no_encoding_is_ignored(encoding: str) -> None:
    assert await fetched(packed(encoding, PICTURE)) == PICTURE


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("gzip", gzip.compress(PICTURE), id="gzip"),
        pytest.param("GZip", gzip.compress(PICTURE), id="capitals"),
        pytest.param("x-gzip", gzip.compress(PICTURE), id="an old name"),
        pytest.param("aws-chunked,gzip", gzip.compress(PICTURE), id="beside a label"),
        pytest.param("gzip, gzip", gzip.compress(gzip.compress(PICTURE)), id="twice"),
        pytest.param("gzip", gzip.compress(PICTURE[:99]) + gzip.compress(PICTURE[99:]), id="two members"),
        pytest.param("gzip", gzip.compress(PICTURE) + bytes(512), id="zeros behind"),
        pytest.param("deflate", zlib.compress(PICTURE), id="deflate"),
        pytest.param("deflate", raw_deflate(PICTURE), id="deflate without its frame"),
    ],
)
async def test_an_honest_encoding_is_undone(encoding: str, body: bytes) -> None:
    assert await fetched(packed(encoding, body)) == PICTURE


@pytest.mark.parametrize(
    ("encoding", "body", "said"),
    [
        ("gzip", PICTURE, "is not gzip"),
        ("gzip", gzip.compress(PICTURE)[:-9], "is not gzip"),
        ("deflate", PICTURE, "is not deflate"),
        ("br", b"\x0b\x02\x80", "encoding br is not supported"),
        ("zstd", b"\x28\xb5\x2f\xfd", "encoding zstd is not supported"),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_refused_by_name(encoding: str, body: bytes, said: str) -> None:
    code, reason = await refused_as(packed(encoding, body))
    assert code == "input_unreachable"
    assert said in reason


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_bomb_is_refused_before_it_is_unpacked(layers: int) -> None:
    bomb = gzip.compress(bytes(200_000_000 if layers == 1 else 2_000_000), 9)
    for _ in range(layers - 1):
        bomb = gzip.compress(bomb * 3000, 9)
    encoding = ", ".join(["gzip"] * layers)
    tracemalloc.start()
    try:
        assert (await refused_as(packed(encoding, bomb), 300_000))[0] == "image_too_large"
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


async def test_the_cap_holds_for_what_is_unpacked_and_for_what_is_sent() -> None:
    assert len(await fetched(packed("gzip", gzip.compress(bytes(CAP))), CAP)) == CAP
    assert (await refused_as(packed("gzip", gzip.compress(bytes(CAP + 1))), CAP))[0] == "image_too_large"
    assert (await refused_as(packed("gzip", gzip.compress(PICTURE)), 100))[0] == "image_too_large"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(OK + b"X-Policy: " + b"x" * 9000 + b"\r\n" + LENGTH + b"\r\n" + PICTURE, id="a header of 9 kB"),
        pytest.param(OK + b"X-A: b\r\n" * 140 + LENGTH + b"\r\n" + PICTURE, id="140 headers"),
        pytest.param(OK + b"X-A: b\r\n" * 2000 + LENGTH + b"\r\n" + PICTURE, id="2000 headers"),
        pytest.param(OK + LENGTH + LENGTH + b"\r\n" + PICTURE, id="the same length twice"),
        pytest.param(OK + LENGTH * 3 + b"\r\n" + PICTURE, id="the same length three times"),
        pytest.param(
            OK + b"Content-Length: %d, %d\r\n\r\n" % (len(PICTURE), len(PICTURE)) + PICTURE, id="twice in one header"
        ),
        pytest.param(OK + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, id="chunks and a length"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, id="chunks"),
        pytest.param(OK + LENGTH + b"\r\n" + PICTURE + b"more", id="bytes behind the body"),
        pytest.param(OK + b"X-A: b\r\n c\r\n" + LENGTH + b"\r\n" + PICTURE, id="a folded header"),
        pytest.param(OK + b"X-A: \xff\xe9\r\n" + LENGTH + b"\r\n" + PICTURE, id="Latin-1 in a header"),
        pytest.param(OK.replace(b" OK", b"") + LENGTH + b"\r\n" + PICTURE, id="no reason"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + LENGTH + b"\r\n" + PICTURE, id="an early hint"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + PICTURE, id="HTTP/1.0 to the end of the connection"),
        pytest.param((OK + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + PICTURE, id="bare line feeds"),
    ],
)
async def test_heads_that_browsers_take_are_taken(sent: bytes) -> None:
    assert await fetched(sent) == PICTURE


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        pytest.param(
            OK + b"X-A: " + b"x" * MOST_HEADER_BYTES + b"\r\n" + LENGTH + b"\r\n" + PICTURE, "64 KiB",
            id="one header over the cap"
        ),
        pytest.param(OK + b"X-A: b\r\n" * 9000 + LENGTH + b"\r\n" + PICTURE, "64 KiB", id="many over the cap"),
        pytest.param(OK + b"X-A: " + b"x" * 10_000_000, "no valid HTTP response", id="endless"),
        pytest.param(OK + LENGTH + b"Content-Length: 7\r\n\r\n" + PICTURE, "no valid HTTP response", id="two lengths"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\n" + PICTURE, "no valid HTTP response", id="no length"),
        pytest.param(OK + b"no header\r\n\r\n" + PICTURE, "no valid HTTP response", id="no header"),
        pytest.param(OK + LENGTH + b"\r\n" + PICTURE[:-1], "no valid HTTP response", id="a body cut off"),
        pytest.param(b"SSH-2.0-x\r\n", "no valid HTTP response", id="another protocol"),
    ],
)  # fmt: skip
async def test_other_heads_are_refused(sent: bytes, said: str) -> None:
    code, reason = await refused_as(sent)
    assert code == "input_unreachable"
    assert said in reason


async def test_a_redirect_may_have_spaces_and_letters_in_its_address() -> None:
    async def behave(request, writer):
        location = "Location: /schnee \u2603.png".encode()
        first = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + location + b"\r\n\r\n"
        writer.write(first if request.target == "/a.png" else OK + LENGTH + b"\r\n" + PICTURE)

    async with provider(behave) as host:
        assert await fetcher_of(host).fetch(f"{host.base_url}/a.png") == PICTURE
    assert host.requests[1].target == "/schnee%20%E2%98%83.png"


async def test_each_request_names_its_host() -> None:
    async with provider(then_closes(OK + LENGTH + b"\r\n" + PICTURE)) as host:
        await fetcher_of(host).fetch(f"{host.base_url}/a.png?x=1")
    (request,) = host.requests
    assert (request.target, request.headers["host"]) == ("/a.png?x=1", host.host)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate for files.example, trusted by this process."""
    key, made = tmp_path / "key.pem", tmp_path / "cert.pem"
    kind = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    name = ["-subj", "/CN=files.example", "-addext", "subjectAltName=DNS:files.example"]
    subprocess.run([*kind, *name, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(made))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: it makes the certificate")
async def test_https_is_verified_by_name_and_the_next_ip_address_is_tried(certificate: ssl.SSLContext) -> None:
    hosts: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hosts.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[1])
        writer.write(OK + LENGTH + b"\r\n" + PICTURE)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificate)
    port = server.sockets[0].getsockname()[1]
    names = Names(files_example=["::1", "127.0.0.1"], other_example=["127.0.0.1"])
    trusted = [("files.example", port), ("other.example", port)]
    fetcher = Fetcher(max_bytes=CAP, trusted=trusted, resolver=names)
    async with server:
        for host in ("files.example", "FILES.example", "files.example."):
            assert await fetcher.fetch(f"https://{host}:{port}/a.png") == PICTURE
            assert hosts.pop() == f"Host: {host}:{port}".encode()
        assert "no valid HTTP response" in (await refused(fetcher, f"https://other.example:{port}/a.png"))[1]
    assert hosts == []
