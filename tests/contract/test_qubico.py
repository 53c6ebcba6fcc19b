"""One suite for recorded answers, the sandbox and (`make test-live`) the real service: what holds for all holds.

Tests marked `buys` create tasks; on the real service they are paid for out of the purse, or skipped.
"""

import asyncio
import io
import itertools
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from qubico.errors import AccountBlocked, AnswerLost, ResultGone, ResultHostRefused, TaskGone, Throttled, Unavailable
from qubico.schemas import TaskStatus
from tests.contract.conftest import API_KEY, LIVE
from tests.contract.subject import Subject, at, picture
from tests.contract.wire import Request, answer, provider, recorded, says


class Recording:
    """Plays recorded answers by route, and lets the task come to its end at the third read."""

    def __init__(self) -> None:
        self.reads = itertools.count(1)
        self.address = ""

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(self.answer(request))

    def answer(self, request: Request) -> bytes:
        path = request.target.partition("?")[0]
        if path == "/temp/result.png":
            return answer("200 OK", picture(), "Content-Type: image/png")
        if request.headers.get("x-api-key") != API_KEY:
            return recorded("blocked-401")
        if path.endswith("no-such-task"):
            return recorded("gone-404")
        if request.method == "POST":
            return self.echoing("create-accepted")
        if path.startswith("/api/v1/task/"):
            ended = next(self.reads) > 2
            return self.echoing("get-completed-echoed" if ended else "get-processing-capitalised-offset")
        names = {"/account/info": "account", "/account/active_tasks": "active-tasks"}
        return recorded(names.get(path, "history"))

    def echoing(self, name: str) -> bytes:
        """The recorded answer, with this test's secret and a result that can be fetched here."""
        sent = recorded(name).partition(b"\r\n\r\n")[2].replace(b"s3cr3t-echoed", b"retouch.edit_01J9Z.1.signed")
        sent = sent.replace(
            b"https://img.theapi.app/temp/3f0e9f0c-0a63-4f2a-8a53-2a3d1a7e44aa.png", self.address.encode()
        )
        return answer("200 OK", sent, "Content-Type: application/json")


@pytest.fixture(params=["recorded answers", "sandbox", *(["live"] if LIVE else [])])
async def subject(request: pytest.FixtureRequest) -> AsyncGenerator[Subject]:
    if request.param == "live":
        yield at(request.getfixturevalue("live"), request.getfixturevalue("purse"))
        return
    async with provider(says(answer("200 OK", picture(), "Content-Type: image/png"))) as pictures:
        image = f"{pictures.base_url}/in.png"
        if request.param == "sandbox":
            sandbox = request.getfixturevalue("sandbox")
            yield Subject(sandbox.base_url, sandbox.api_key, [sandbox.host], image)
            return
        recording = Recording()
        async with provider(recording) as qubico:
            recording.address = f"{qubico.base_url}/temp/result.png"
            yield Subject(qubico.base_url, API_KEY, [qubico.host], image)


@pytest.mark.buys
async def test_a_task_is_bought_followed_and_its_picture_fetched(subject):
    async with subject.client() as client:
        bought = await subject.bought(client)
        assert not bought.is_final
        assert bought.created_at is not None
        assert bought.image_url is None
        assert (bought.quote, bought.charge) == (200_000, None)
        done = await subject.ended(client, bought.task_id)
        assert (done.task_id, done.status, done.charge) == (bought.task_id, TaskStatus.COMPLETED, 200_000)
        assert done.started_at is not None
        assert done.ended_at is not None
        assert done.created_at <= done.started_at <= done.ended_at
        async with client.download(done.image_url, max_bytes=5_000_000) as chunks:
            result = b"".join([chunk async for chunk in chunks])
    with Image.open(io.BytesIO(result)) as opened:
        opened.load()
        assert opened.format == "PNG"


@pytest.mark.buys
async def test_the_token_sent_as_secret_comes_back_from_create_and_get(subject):
    async with subject.client() as client:
        bought = await subject.bought(client)
        read = await client.get(bought.task_id)
    for task in (bought, read):
        assert task.webhook_secret.get_secret_value() == "retouch.edit_01J9Z.1.signed"
        assert task.input["steps"] == (10 if subject.api_key != API_KEY else 28)


@pytest.mark.buys
async def test_history_lists_what_was_bought(subject):
    async with subject.client() as client:
        bought = await subject.bought(client)
        start = bought.created_at - timedelta(minutes=1)
        until = time.monotonic() + subject.patience
        page = await client.history(start=start)
        while bought.task_id not in {row.task_id for row in page.rows} and time.monotonic() < until:
            await asyncio.sleep(subject.pause)
            page = await client.history(start=start)
    assert bought.task_id in {row.task_id for row in page.rows}
    assert page.unreadable == 0
    assert all(row.created_at is not None for row in page.rows)


async def test_the_account_is_read(subject):
    async with subject.client() as client:
        account = await client.account()
    assert account.balance_usd > 0
    assert account.max_concurrent > 0
    assert account.account_id


async def test_an_unknown_task_is_gone(subject):
    async with subject.client() as client:
        with pytest.raises(TaskGone):
            await client.get("no-such-task")


async def test_a_wrong_key_blocks_the_account(subject):
    async with subject.client(api_key="wrong-key") as client:
        for call in (client.get("t"), client.account()):
            with pytest.raises(AccountBlocked, match="failed to verify api key"):
                await call


@pytest.mark.buys
async def test_a_wrong_key_buys_nothing(subject):
    async with subject.client(api_key="wrong-key") as client:
        with pytest.raises(AccountBlocked, match="failed to verify api key"):
            await subject.bought(client)


# --- what only the sandbox can play: its faults come out as the decisions they are meant to be


@pytest.fixture
async def staged(sandbox) -> AsyncGenerator[Subject]:
    async with provider(says(answer("200 OK", picture(), "Content-Type: image/png"))) as pictures:
        yield Subject(sandbox.base_url, sandbox.api_key, [sandbox.host], f"{pictures.base_url}/in.png")


@pytest.mark.parametrize("fault", ["drop", "html_502"])
async def test_a_create_whose_answer_is_lost_is_found_in_history_by_its_token(staged, fault):
    start = datetime.now(UTC) - timedelta(minutes=1)
    async with staged.client() as client:
        with pytest.raises(AnswerLost):
            await client.create(staged.request(f"sepia [fault:{fault}]"))
        page = await client.history(start=start, page=1)
        found = [await client.get(row.task_id) for row in page.rows]
    assert [task.webhook_secret.get_secret_value() for task in found] == ["retouch.edit_01J9Z.1.signed"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("throttled", Throttled),
        ("no_credit", AccountBlocked),
        ("no_credit_400", AccountBlocked),
        ("no_credit_500", AccountBlocked),
        ("bad_key", AccountBlocked),
        ("refuse_503", AnswerLost),
        ("drop_before", AnswerLost),
    ],
)
async def test_a_create_that_is_not_accepted_is_the_right_decision(staged, sandbox, fault, error):
    async with staged.client() as client:
        with pytest.raises(error):
            await client.create(staged.request(f"sepia [fault:{fault}]"))
        assert (await client.history(start=datetime.now(UTC) - timedelta(minutes=1), page=1)).rows == ()


@pytest.mark.parametrize("fault", ["failed_create", "failed_create_500"])
async def test_a_create_that_fails_at_once_is_a_failed_task(staged, fault):
    async with staged.client() as client:
        task = await client.create(staged.request(f"sepia [fault:{fault}]"))
    assert task.status is TaskStatus.FAILED


@pytest.mark.parametrize(
    ("fault", "status", "moderated"),
    [
        ("failed", TaskStatus.FAILED, False),
        ("failed_500", TaskStatus.FAILED, False),
        ("moderated", TaskStatus.FAILED, True),
        ("odd", TaskStatus.COMPLETED, False),
        ("odd_code", TaskStatus.COMPLETED, False),
        ("no_address", TaskStatus.COMPLETED, False),
    ],
)
async def test_a_task_ends_as_its_fault_says(staged, fault, status, moderated):
    async with staged.client() as client:
        bought = await client.create(staged.request(f"sepia [fault:{fault}]"))
        done = await staged.ended(client, bought.task_id)
    assert (done.status, done.moderated) == (status, moderated)
    assert (done.image_url is None) == (status is TaskStatus.FAILED or fault == "no_address")


async def test_a_picture_inside_the_answer_is_decoded(staged):
    async with staged.client() as client:
        bought = await client.create(staged.request("sepia [fault:base64]"))
        done = await staged.ended(client, bought.task_id)
    assert done.image_url is None
    assert Image.open(io.BytesIO(done.image_bytes(max_bytes=5_000_000))).format == "PNG"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("gone", ResultGone),
        ("wrong_type_html", ResultGone),
        ("cut", Unavailable),
        ("file_503", Unavailable),
        ("redirect", ResultHostRefused),
    ],
)
async def test_a_file_with_a_fault_is_the_right_decision(staged, fault, error):
    async with staged.client() as client:
        bought = await client.create(staged.request(f"sepia [fault:{fault}]"))
        done = await staged.ended(client, bought.task_id)
        with pytest.raises(error):
            async with client.download(done.image_url, max_bytes=5_000_000) as chunks:
                assert [chunk async for chunk in chunks]
