"""What money hangs on: a create is NotSent only if it provably never left; all that may have arrived is AnswerLost."""

import asyncio
import shutil
import socket
import ssl
import struct
import subprocess

import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given, settings
from hypothesis import strategies as st

from qubico.client import QubicoClient
from qubico.errors import AnswerLost, NotSent, QubicoError, Unavailable
from qubico.schemas import KontextRequest, Task, TaskStatus
from qubico.transport import OverAiohttp
from tests.contract.conftest import API_KEY
from tests.contract.wire import (
    answer,
    keeps_silent,
    provider,
    recorded,
    resets,
    says,
    then_closes,
    trickles,
)
from tests.parts.valkey import free_port

ARRIVED = {
    "closes": then_closes(),
    "resets": resets,
    "answers half a header": then_closes(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "answers half a status line": then_closes(b"HTTP/1."),
    "sends a body shorter than promised": then_closes(answer("200 OK", b'{"code": 200, "data": {"task_', length=900)),
    "breaks off a chunked body": then_closes(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"cod\r\n'),
    "answers garbage": then_closes(b"\x00\x01\x02 not HTTP at all \xff\xfe\r\n\r\n"),
    "answers a broken header": then_closes(b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"),
    "claims gzip and is not": says(answer("200 OK", b"plain", "Content-Encoding: gzip")),
    "keeps silent": keeps_silent,
    "trickles": trickles,
    "answers a page of 502": says(recorded("garbage-502-html")),
    "answers a page of 522": says(recorded("garbage-522-html")),
    "answers 200 with nothing": says(recorded("garbage-200-empty")),
    "answers 200 without a task": says(recorded("garbage-200-data-null")),
    "answers 500 without a task": says(recorded("garbage-500-json")),
    "is barred by Cloudflare": says(recorded("garbage-403-cloudflare-1010")),
    "redirects": says(recorded("garbage-302-elsewhere")),
}
ENDLESS = (keeps_silent, trickles)
"""Only these have to be given up; the others may take their time on a busy machine."""


@pytest.mark.parametrize("behave", ARRIVED.values(), ids=ARRIVED)
async def test_a_create_that_arrived_is_answer_lost_and_was_sent_once(behave, client_of, request_to_buy):
    async with (
        provider(behave) as qubico,
        client_of(qubico.base_url, create_timeout=1.5 if behave in ENDLESS else 60) as client,
    ):
        with pytest.raises(AnswerLost):
            await client.create(request_to_buy)
        assert [post.body for post in qubico.posts] == [request_to_buy.body()]
        assert len(qubico.writers) == 1


@pytest.mark.parametrize("behave", ARRIVED.values(), ids=ARRIVED)
async def test_the_same_trouble_of_a_read_is_unavailable(behave, client_of):
    async with (
        provider(behave) as qubico,
        client_of(qubico.base_url, read_timeout=0.3 if behave in ENDLESS else 60) as client,
    ):
        with pytest.raises(Unavailable) as unavailable:
            await client.get("5b7a0c1e-52f4-4a0e-9a55-2f0f6c1d7e10")
        assert str(unavailable.value) == "no answer could be read: it took too long" or behave not in ENDLESS


async def test_a_failed_task_that_comes_with_500_is_a_task(client_of, request_to_buy):
    async with provider(says(recorded("create-failed-with-500"))) as qubico, client_of(qubico.base_url) as client:
        task = await client.create(request_to_buy)
    assert (task.status, task.message) == (TaskStatus.FAILED, "task failed")


@pytest.mark.parametrize("how", ["resets", "closes"])
async def test_a_create_cut_in_the_middle_of_its_body_is_answer_lost(how, client_of, request_to_buy):
    """What has arrived of it cannot be known: a front of the provider may have passed it on."""
    large = request_to_buy.model_copy(update={"image": "data:image/png;base64," + "A" * 1_000_000})
    heads: list[bytes] = []

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readexactly(1000))
        if how == "resets":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        writer.close()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with client_of(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(AnswerLost):
                await client.create(large)
    assert len(heads) == 1
    assert heads[0].startswith(b"POST /api/v1/task")


async def test_a_refused_connection_is_not_sent(client_of, request_to_buy):
    async with client_of(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(NotSent, match="ClientConnectorError"):
            await client.create(request_to_buy)
        with pytest.raises(Unavailable):
            await client.account()


class NoSuchName(AbstractResolver):
    async def resolve(self, *_asked: object, **_named: object) -> list[ResolveResult]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def close(self) -> None:
        return None


class SilentNameServer(AbstractResolver):
    async def resolve(self, *_asked: object, **_named: object) -> list[ResolveResult]:
        await asyncio.Event().wait()
        return []

    async def close(self) -> None:
        return None


@pytest.mark.parametrize("resolver", [NoSuchName, SilentNameServer], ids=["unknown name", "silent name server"])
async def test_a_name_that_cannot_be_resolved_is_not_sent(resolver, client_of, request_to_buy):
    transport = OverAiohttp(max_connections=5, resolver=resolver())
    async with client_of("http://qubico.invalid", transport=transport, create_timeout=0.4) as client:
        with pytest.raises(NotSent):
            await client.create(request_to_buy)


async def test_tls_spoken_to_a_plain_server_is_not_sent(client_of, request_to_buy):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with client_of(f"https://127.0.0.1:{port}") as client:
            with pytest.raises(NotSent):
                await client.create(request_to_buy)


async def test_a_tls_handshake_that_never_ends_is_not_sent(client_of, request_to_buy):
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            writer.transport.abort()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with client_of(f"https://127.0.0.1:{port}", create_timeout=0.4) as client:
            with pytest.raises(NotSent):
                await client.create(request_to_buy)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


@pytest.fixture
def untrusted(tmp_path) -> ssl.SSLContext:
    """A self-signed server certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: it makes the certificate")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    files = ["-subj", "/CN=127.0.0.1", "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([*made, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


async def test_a_certificate_that_is_not_trusted_is_not_sent(client_of, request_to_buy, untrusted):
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=untrusted) as server:
        port = server.sockets[0].getsockname()[1]
        async with client_of(f"https://127.0.0.1:{port}") as client:
            with pytest.raises(NotSent, match="Certificate"):
                await client.create(request_to_buy)
    assert not any(asked)


async def test_a_create_that_found_no_free_connection_is_not_sent(client_of, request_to_buy):
    async with (
        provider(keeps_silent) as qubico,
        client_of(qubico.base_url, max_connections=1, create_timeout=3.0) as client,
    ):
        first = asyncio.create_task(client.create(request_to_buy))
        await asyncio.wait_for(qubico.asked.wait(), 90)
        with pytest.raises(NotSent, match="ConnectionTimeoutError"):
            await client.create(request_to_buy)
        for writer in qubico.writers:
            writer.transport.abort()
        with pytest.raises(AnswerLost):
            await first
        assert len(qubico.posts) == 1


async def test_a_closed_client_sends_nothing(client_of, request_to_buy):
    async with provider(keeps_silent) as qubico:
        client = client_of(qubico.base_url)
        await client.aclose()
        with pytest.raises(NotSent):
            await client.create(request_to_buy)
        with pytest.raises(Unavailable):
            await client.account()
        assert not qubico.writers


async def test_an_earlier_connection_error_does_not_make_a_lost_answer_not_sent(client_of, request_to_buy):
    async with (
        client_of(f"http://127.0.0.1:{free_port()}") as nowhere,
        provider(then_closes()) as qubico,
        client_of(qubico.base_url) as client,
    ):
        try:
            await nowhere.create(request_to_buy)
        except NotSent:
            with pytest.raises(AnswerLost):
                await client.create(request_to_buy)
        assert len(qubico.posts) == 1


async def test_httpx_calls_a_create_that_arrived_a_connect_timeout(request_to_buy):
    """Why its class decides nothing. When this fails, the transport got better, and nothing of ours got worse."""
    async with provider(then_closes()) as qubico, httpx.AsyncClient(transport=OverAiohttp(max_connections=1)) as http:
        with pytest.raises(httpx.ConnectTimeout):
            await http.post(f"{qubico.base_url}/api/v1/task", content=request_to_buy.body())
        assert len(qubico.posts) == 1


@settings(max_examples=60)
@given(
    sent=st.binary(max_size=300) | st.binary(max_size=200).map(lambda body: answer("200 OK", body)),
    reading=st.booleans(),
)
async def test_whatever_bytes_come_back_a_call_ends_with_a_task_or_an_error_of_ours(sent, reading):
    request = KontextRequest(prompt="p", image="https://a/b", steps=1, seed=1)
    async with (
        provider(then_closes(sent)) as qubico,
        QubicoClient(base_url=qubico.base_url, api_key=API_KEY, create_timeout=60, read_timeout=60) as client,
    ):
        try:
            ended = await (client.get("t") if reading else client.create(request))
        except QubicoError as exc:
            ended = exc
        assert isinstance(ended, Task | QubicoError)
        if not reading:
            assert len(qubico.posts) == 1
            assert not isinstance(ended, NotSent)
