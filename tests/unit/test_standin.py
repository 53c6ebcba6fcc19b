"""The stand-in of the provider: our own client understands it, and its limits are those it was given."""

import asyncio
from datetime import UTC, datetime

import pytest

from benchmarks.answers import StandIn, picture
from benchmarks.provider import Provider
from benchmarks.rounds import goal, summed
from benchmarks.standin import Connection
from edits.media.sniff import Sniffer
from qubico import errors
from qubico.client import QubicoClient
from qubico.schemas import KontextRequest, TaskStatus

ORDER = KontextRequest(prompt="more light", image="https://pictures.example/1.jpg", steps=28, seed=1)


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def served(clock):
    """Serves a provider as it is described, and gives it together with a client."""
    opened = []

    async def serve(**behaviour):
        standin = StandIn(Provider(**behaviour), base="", clock=clock)
        server = await asyncio.get_running_loop().create_server(lambda: Connection(standin), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        standin.base = f"http://127.0.0.1:{port}"
        client = QubicoClient(base_url=standin.base, api_key="key", result_hosts=[f"127.0.0.1:{port}"])
        opened.append((client, server))
        return standin, client

    yield serve
    for client, server in opened:
        await client.aclose()
        server.close()


async def test_a_task_goes_its_way_by_its_shape(served, clock):
    standin, client = await served(picture_bytes=20_000)
    task = await client.create(ORDER)
    assert task.status is TaskStatus.PENDING
    clock.now += 10
    seen = await client.get(task.task_id)
    assert seen.status is TaskStatus.PROCESSING
    assert seen.input["prompt"] == "more light"
    assert 0.5 < (seen.started_at - seen.created_at).total_seconds() < 2.5
    clock.now += 60
    seen = await client.get(task.task_id)
    assert seen.status is TaskStatus.COMPLETED
    assert 20 < (seen.ended_at - seen.started_at).total_seconds() < 40
    async with client.download(seen.image_url, max_bytes=20_000) as chunks:
        check = Sniffer()
        async for chunk in chunks:
            check.feed(chunk)
        assert check.finish().content_type == "image/png"
    assert (standin.counters.creates, standin.counters.reads, standin.counters.pictures) == (1, 2, 1)


async def test_a_task_may_end_at_a_given_read(served):
    _, client = await served(reads=3)
    task = await client.create(ORDER)
    seen = [(await client.get(task.task_id)).status for _ in range(3)]
    assert seen == [TaskStatus.PROCESSING, TaskStatus.PROCESSING, TaskStatus.COMPLETED]


@pytest.mark.parametrize(
    ("behaviour", "taken"),
    [
        pytest.param({"rate": 50}, 5, id="a tenth of a second"),
        pytest.param({"rate": 5}, 2, id="never less than two"),
        pytest.param({"rate": 50, "burst": 0}, 1, id="no burst"),
    ],
)
async def test_the_bucket_holds_what_it_was_given(served, clock, behaviour, taken):
    standin, client = await served(**behaviour)
    for _ in range(taken):
        await client.create(ORDER)
    with pytest.raises(errors.Throttled):
        await client.create(ORDER)
    clock.now += 1 / behaviour["rate"]
    await client.create(ORDER)
    assert (standin.counters.creates, standin.counters.refused) == (taken + 1, 1)


async def test_it_counts_what_is_in_flight(served, clock):
    standin, client = await served(cap=1)
    for _ in range(2):
        await client.create(ORDER)
    clock.now += 100
    await client.create(ORDER)
    assert (standin.counters.most_in_flight, standin.counters.over_cap) == (2, 1)


async def test_it_tells_how_many_tokens_a_bucket_needs(served, clock):
    standin, client = await served(rate=50)
    for later in (0.04, 0.0, 0.0, 0.02):
        clock.now += later
        await client.create(ORDER)
    assert standin.counters.burst_needed == pytest.approx(3)
    assert standin.counters.latest == pytest.approx(0.02)


async def test_it_may_know_tasks_that_it_never_took(served):
    _, client = await served(knows_all=True)
    assert (await client.get("5b7a0c1e-52f4-4a0e-9a55-2f0f6c1d7e10")).status is TaskStatus.PROCESSING


async def test_its_history_tells_of_every_task_the_newest_first(served, clock):
    _, client = await served()
    tasks = [(await client.create(ORDER)).task_id for _ in range(3)]
    pages = [await client.history(start=_at(clock.now - 1), page=number) for number in (1, 2)]
    assert [row.task_id for page in pages for row in page.rows] == tasks[::-1]
    assert [len(page.rows) for page in pages] == [3, 0]


def test_it_can_be_closed_for_a_while(clock):
    standin = StandIn(Provider(), base="", clock=clock)
    assert standin.answer("POST", "/control", b'{"closed_for": 5, "rate": 100}') == (200, b"{}")
    assert standin.answer("POST", "/api/v1/task", ORDER.body())[0] == 429
    clock.now += 5
    assert standin.answer("POST", "/api/v1/task", ORDER.body())[0] == 200
    assert standin.answer("POST", "/control", b'{"no": 1}')[0] == 400


@pytest.mark.parametrize("wanted", [256 * 1024, 1_800_000])
def test_pictures_are_as_large_as_asked(wanted):
    assert 0.97 * wanted < len(picture(wanted)) <= wanted


def test_medians_and_goals():
    assert summed([{"a": 1.0}, {"a": 9.0}, {"a": 2.0}]) == {"a": {"median": 2.0, "least": 1.0, "most": 9.0}}
    assert goal("few", 3.0, most=2.0)["met"] == "NO"
    assert goal("many", 3.0, least=2.0)["met"] == "yes"


def _at(seconds):
    return datetime.fromtimestamp(seconds, UTC)
