"""For any bytes from the provider, the client ends in time with a value or one of our own errors.

FUZZ_TIMES and FUZZ_SEED: how much is tried, and from where.
"""

import asyncio
import gzip
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubico.errors import AnswerLost, NotSent, QubicoError
from tests.contract.conftest import API_KEY
from tests.contract.wire import provider, then_closes
from tests.parts.fuzzing import fuzzed

SIGNED = "a-signature-of-an-address"
SOME_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([API_KEY, f"https://x.example/a?sig={SIGNED}", "completed", "failed", "task-1", "9" * 5000]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["code", "data", "task_id", "status", "output", "image_url", "error", "message", "logs", "meta",
                         "detail", "raw_message", "config", "total", "size", "id", "plan", "x"]),
        inner, max_size=6),
    max_leaves=25,
)  # fmt: skip
BODIES = st.one_of(
    SOME_JSON.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=400),
    SOME_JSON.map(lambda value: json.dumps({"data": value})[:-3].encode()),
    SOME_JSON.map(lambda value: json.dumps(value).encode("utf-16")),
    st.sampled_from([b"", b"[" * 50_000, b'{"data":' * 20_000, b"<!DOCTYPE html><html>", b"404 page not found"]),
)
STATUSES = st.sampled_from([
    "200 OK", "201 Created", "204 No Content", "301 Moved", "304 Not Modified", "400 Bad Request", "401 Unauthorized",
    "402 Payment", "403 Forbidden", "404 Not Found", "408 Timeout", "422 X", "429 Too Many", "500 Oops", "522 X",
    "999 X",
])  # fmt: skip
FIELDS = st.lists(
    st.sampled_from([
        b"Content-Type: application/json", b"Content-Type: text/html; charset=klingon", b"Content-Type: \xff\xfe",
        b"Retry-After: 12", b"Retry-After: -1", b"Retry-After: Thu, 99 Foo", b"Retry-After: 1e999", b"Date: never",
        b"Location: http://169.254.169.254/latest", b"Location: \x80://", b"Content-Encoding: gzip",
        b"Content-Encoding: br", b"Transfer-Encoding: chunked", b"Content-Length: 5", b"Content-Length: 99999",
        b"Content-Length: -1", b"no colon", b"X: " + b"a" * 9000, b"Set-Cookie: a=b", b"Connection: upgrade",
    ]),
    max_size=4,
)  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A whole answer, nearly one, or noise."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    body, fields = draw(BODIES), draw(FIELDS)
    if b"Content-Encoding: gzip" in fields:
        body = gzip.compress(body)
        body = body[: len(body) // 2] if draw(st.booleans()) else body
    if b"Transfer-Encoding: chunked" in fields:
        body = b"%x\r\n%s\r\n%s" % (len(body), body, draw(st.sampled_from([b"0\r\n\r\n", b"zz\r\n", b""])))
    elif not any(field.startswith(b"Content-Length") for field in fields):
        fields = [*fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join([b"HTTP/1.1 " + draw(STATUSES).encode(), *fields, b"", b""]) + body


@pytest.mark.parametrize("operation", ["create", "get", "account", "history", "download"])
def test_any_answer_is_a_value_or_an_error_of_ours(operation, client_of, request_to_buy):
    @fuzzed(25)
    @given(sent=answers())
    def tried(sent: bytes) -> None:
        error = asyncio.run(ask(operation, sent, client_of, request_to_buy))
        if error is not None:
            said = f"{error} {error!r} {error.__cause__!r}"
            assert API_KEY not in said
            assert SIGNED not in said
            assert len(str(error)) < 1200
            assert not isinstance(error, NotSent), "something was sent"
            if operation != "create":
                assert not isinstance(error, AnswerLost)

    tried()


async def ask(operation, sent, client_of, request_to_buy) -> QubicoError | None:
    async with provider(then_closes(sent)) as host, client_of(host.base_url, result_hosts=[host.host]) as client:
        calls = {
            "create": lambda: client.create(request_to_buy),
            "get": lambda: client.get("task-1"),
            "account": client.account,
            "history": lambda: client.history(start=datetime(2026, 1, 1, tzinfo=UTC)),
            "download": lambda: fetched(client, f"{host.base_url}/a.png?sig={SIGNED}"),
        }
        try:
            async with asyncio.timeout(15):
                await calls[operation]()
        except QubicoError as exc:
            assert len(host.posts) == (operation == "create"), "a create goes out once"
            return exc
    return None


async def fetched(client, address):
    read = 0
    async with client.download(address, max_bytes=100_000) as chunks:
        async for chunk in chunks:
            read += len(chunk)
            assert read <= 100_000


async def test_a_bomb_of_gzip_is_given_up_at_the_cap_and_not_unpacked_whole(client_of):
    packed = gzip.compress(bytes(60_000_000), 9)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with provider(then_closes(head + packed)) as host, client_of(host.base_url, read_timeout=20.0) as client:
        with pytest.raises(QubicoError):
            await client.get("task-1")
    async with (
        provider(then_closes(head + packed)) as host,
        client_of(host.base_url, result_hosts=[host.host]) as client,
    ):
        with pytest.raises(QubicoError):
            await fetched(client, f"{host.base_url}/a")
