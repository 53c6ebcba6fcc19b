"""The client over a transport that answers at will: what it sends, what it shows, and all that can come out of it."""

import json
import logging
from datetime import UTC, datetime

import aiohttp
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubico.client import QubicoClient
from qubico.errors import AnswerLost, NotSent, QubicoError, Unavailable
from qubico.schemas import KontextRequest, Task
from tests.unit.qubico.test_schemas import ANY_JSON, LIKE_AN_ANSWER

KEY = "a-key-of-some-length"
REQUEST = KontextRequest(prompt="p", image="https://files.example.com/secret.png", steps=1, seed=1)
PENDING = {"code": 200, "data": {"task_id": "t 1/é", "status": "pending"}}


def client_over(handler, **options) -> QubicoClient:
    return QubicoClient(
        base_url="https://api.example.com/prefix/", api_key=KEY, transport=httpx.MockTransport(handler), **options
    )


async def test_a_create_is_one_post_with_key_agent_and_body():
    seen = []

    def accept(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=PENDING)

    async with client_over(accept) as client:
        await client.create(REQUEST)
    (request,) = seen
    assert (request.method, str(request.url)) == ("POST", "https://api.example.com/prefix/api/v1/task")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["user-agent"] == "retouch/0.1"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == REQUEST.wire()


async def test_an_id_is_one_part_of_the_path():
    paths = []

    def show(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return httpx.Response(200, json=PENDING)

    async with client_over(show) as client:
        assert (await client.get("t 1/é")).task_id == "t 1/é"
    assert paths == [b"/prefix/api/v1/task/t%201%2F%C3%A9"]


async def test_history_needs_moments_with_a_time_zone():
    async with client_over(lambda _request: httpx.Response(200)) as client:
        aware = datetime(2026, 1, 15, tzinfo=UTC)
        naive = aware.replace(tzinfo=None)
        with pytest.raises(ValueError, match="time zone"):
            await client.history(start=naive, page=1)
        with pytest.raises(ValueError, match="time zone"):
            await client.history(start=aware, end=naive, page=1)


async def test_a_transport_that_is_not_ours_proves_nothing_by_its_classes():
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("could not connect", request=request)

    async with client_over(fail) as client:
        with pytest.raises(AnswerLost):
            await client.create(REQUEST)
        with pytest.raises(Unavailable):
            await client.get("t")


async def test_an_answer_of_no_end_is_given_up():
    async def endless():
        while True:
            yield bytes(1 << 20)

    async with client_over(lambda _request: httpx.Response(200, content=endless())) as client:
        with pytest.raises(AnswerLost, match="more than"):
            await client.create(REQUEST)
        with pytest.raises(Unavailable, match="more than"):
            await client.get("t")


@pytest.mark.parametrize(
    "raised",
    [
        httpx.ReadTimeout("https://files.example.com/secret.png"),
        httpx.InvalidURL("https://files.example.com/secret.png"),
        aiohttp.ClientPayloadError("https://files.example.com/secret.png"),
        aiohttp.InvalidURL("https://files.example.com/secret.png"),
        ConnectionResetError("https://files.example.com/secret.png"),
        TimeoutError(),
        ValueError("https://files.example.com/secret.png"),
    ],
    ids=lambda raised: type(raised).__name__,
)
async def test_trouble_of_any_class_is_lost_and_shows_no_address(raised):
    def fail(_request: httpx.Request) -> httpx.Response:
        raise raised

    async with client_over(fail) as client:
        with pytest.raises(AnswerLost) as lost:
            await client.create(REQUEST)
    assert "secret" not in str(lost.value)
    assert (lost.value.__cause__, lost.value.__suppress_context__) == (None, True)


async def test_a_gate_that_is_shut_is_asked_whatever_the_transport():
    async with client_over(lambda _request: httpx.Response(200, json=PENDING)) as client:
        with pytest.raises(NotSent):
            await client.create(REQUEST, may_send=lambda: False)


async def test_no_address_is_logged(caplog):
    caplog.set_level(logging.INFO)
    async with (
        client_over(
            lambda _request: httpx.Response(200, stream=httpx.ByteStream(b"x")), result_hosts=["img.theapi.app"]
        ) as client,
        client.download("https://img.theapi.app/temp/secret.png", max_bytes=10) as chunks,
    ):
        assert [chunk async for chunk in chunks] == [b"x"]
    assert "secret" not in caplog.text


async def ends_as_promised(response: httpx.Response, *, creating: bool) -> None:
    async with client_over(lambda _request: response) as client:
        try:
            ended = await (client.create(REQUEST) if creating else client.get("t"))
        except QubicoError as exc:
            ended = exc
    assert isinstance(ended, Task | QubicoError)
    assert not (creating and isinstance(ended, NotSent | Unavailable))
    assert not (isinstance(ended, AnswerLost) and not creating)


STATUSES = st.integers(200, 599) | st.sampled_from([200, 400, 401, 402, 403, 404, 429, 500])


@given(payload=ANY_JSON | LIKE_AN_ANSWER, status=STATUSES, creating=st.booleans())
async def test_any_json_ends_as_a_task_or_an_error_of_ours(payload, status, creating):
    content = json.dumps(payload).encode()
    await ends_as_promised(httpx.Response(status, content=content), creating=creating)


@given(content=st.binary(), status=STATUSES, creating=st.booleans(), retry=st.text(max_size=40))
async def test_any_bytes_end_as_an_error_of_ours(content, status, creating, retry):
    headers = {"retry-after": retry.encode("utf-8", "replace")}
    await ends_as_promised(httpx.Response(status, content=content, headers=headers), creating=creating)
