"""Every fault word, as a client meets it on a real socket, with the ledger beside it."""

import asyncio
import socket
import time

import httpx
import pytest

from tests.integration.sandbox.conftest import Caller, order
from tests.parts.sandbox import Sandbox
from tests.parts.stack import eventually


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("rejected", 400, "invalid input image"),
        ("throttled", 429, "too many requests"),
        ("no_credit", 402, "insufficient credits"),
        ("no_credit_400", 400, "insufficient credits"),
        ("no_credit_500", 500, "insufficient credits"),
        ("bad_key", 401, "failed to verify api key"),
        ("refuse_503", 503, "<!DOCTYPE html>"),
    ],
)
async def test_a_refusing_fault_buys_nothing(api: Caller, sandbox: Sandbox, fault: str, status: int, text: str) -> None:
    answer = await api.create(f"x [fault:{fault}]")
    assert answer.status_code == status
    assert text in answer.text
    assert sandbox.ledger()["tasks_bought"] == 0


async def test_throttled_lasts_as_often_as_the_word_says(api: Caller, sandbox: Sandbox) -> None:
    answers = [await api.create("x [fault:throttled=2]") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "1"
    sandbox.options(retry_after=0)
    assert "Retry-After" not in (await api.create("other [fault:throttled]")).headers


def raw_create(sandbox: Sandbox, prompt: str) -> bytes:
    """All bytes that come back for one create; raises what the socket raises."""
    request = httpx.Request(
        "POST", f"{sandbox.base_url}/api/v1/task", json=order(prompt), headers={"X-API-Key": sandbox.api_key}
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection(("127.0.0.1", int(sandbox.host.split(":")[1])), timeout=90) as wire:
        wire.sendall(f"POST /api/v1/task HTTP/1.1\r\n{head}\r\n".encode() + request.read())
        received = b""
        while part := wire.recv(65536):
            received += part
        return received


@pytest.mark.parametrize(("fault", "bought"), [("drop", 1), ("drop_before", 0)])
def test_a_dropped_connection_is_reset_without_one_byte(sandbox: Sandbox, fault: str, bought: int) -> None:
    with pytest.raises(ConnectionResetError):
        raw_create(sandbox, f"x [fault:{fault}]")
    assert sandbox.ledger()["tasks_bought"] == bought


async def test_a_lost_answer_does_not_lose_the_next_one(api: Caller, sandbox: Sandbox) -> None:
    """A system that wrongly sends it again gets an answer, and the ledger shows two purchases."""
    statuses = [(await api.create("x [fault:html_502]")).status_code for _ in range(2)]
    assert statuses == [502, 200]
    assert sandbox.ledger()["duplicates"]["same_input"] == 1


async def test_several_words_of_one_prompt_come_one_after_the_other(api: Caller, sandbox: Sandbox) -> None:
    prompt = "x [fault:refuse_503] [fault:throttled] [fault:html_502] [fault:failed]"
    statuses = [(await api.create(prompt)).status_code for _ in range(4)]
    assert statuses == [503, 429, 502, 200]
    assert {row["status"] for row in sandbox.ledger()["tasks"]} <= {"pending", "processing", "failed"}
    assert sandbox.ledger()["tasks_bought"] == 2


async def test_a_dropped_create_is_in_the_history_and_can_be_read(api: Caller, sandbox: Sandbox) -> None:
    with pytest.raises(httpx.TransportError):
        await api.create("x [fault:drop]", hook={"endpoint": "", "secret": "retouch.edit_1.1"})
    rows = (await api.http.get("/api/open/tasks/histories")).json()["data"]["data"]
    data = (await api.read(rows[0]["task_id"])).json()["data"]
    assert data["config"]["webhook_config"]["secret"] == "retouch.edit_1.1"


async def test_a_hanging_create_is_bought_and_never_answered(api: Caller, sandbox: Sandbox) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await api.http.post("/api/v1/task", json=order("x [fault:hang]"), timeout=httpx.Timeout(90, read=0.3))
    eventually(lambda: sandbox.ledger()["tasks_bought"] == 1, "it is bought")
    assert (await api.create()).status_code == 200


async def test_an_html_502_hides_an_accepted_task(api: Caller, sandbox: Sandbox) -> None:
    answer = await api.create("x [fault:html_502]")
    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")
    assert sandbox.ledger()["tasks_bought"] == 1


@pytest.mark.parametrize(("fault", "status"), [("failed_create", 200), ("failed_create_500", 500)])
async def test_a_create_may_already_be_answered_as_failed(api: Caller, fault: str, status: int) -> None:
    answer = await api.create(f"x [fault:{fault}]")
    assert answer.status_code == status
    assert answer.json()["data"]["status"] == "failed"
    assert answer.json()["data"]["error"]["code"] == 10000


async def test_a_failed_task_tells_its_cause_only_in_the_logs_and_costs_nothing(api: Caller, sandbox: Sandbox) -> None:
    data = await api.shown(await api.bought("x [fault:failed]"))
    assert data["status"] == "failed"
    assert data["output"] is None
    assert data["logs"] == ["worker: out of memory"]
    assert data["error"] == {"code": 10000, "raw_message": "", "message": "task failed", "detail": None}
    assert data["meta"]["usage"]["consume"] == 0
    ledger = sandbox.ledger()
    assert (ledger["tasks_bought"], ledger["units"]) == (1, 0)


async def test_failed_500_is_http_500_with_the_failed_task_inside(api: Caller) -> None:
    task_id = await api.bought("x [fault:failed_500]")
    assert (await api.shown(task_id))["status"] == "failed"
    assert (await api.read(task_id)).status_code == 500


async def test_a_moderated_task_names_the_ban(api: Caller) -> None:
    data = await api.shown(await api.bought("x [fault:moderated]"))
    assert data["status"] == "failed"
    assert data["error"]["raw_message"].startswith("Banned Prompt:")


async def test_a_slow_task_runs_so_many_times_longer(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(latency=1000, latency_sigma=0, wait=0)
    task_id = await api.bought("x [fault:slow=3]")
    sandbox.advance(2900)
    assert (await api.read(task_id)).json()["data"]["status"] == "processing"
    sandbox.advance(101)
    assert (await api.shown(task_id))["status"] == "completed"


async def test_a_stuck_task_never_ends(api: Caller, sandbox: Sandbox) -> None:
    task_id = await api.bought("x [fault:stuck]")
    sandbox.advance(1_000_000)
    assert (await api.read(task_id)).json()["data"]["status"] == "processing"
    assert sandbox.stats()["in_flight"] == 1


async def test_a_staged_task_waits_before_it_counts_as_pending(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(latency=1000, latency_sigma=0, wait=100)
    task_id = await api.bought("x [fault:staged]")
    assert (await api.read(task_id)).json()["data"]["status"] == "staged"
    assert sandbox.stats()["in_flight"] == 0
    sandbox.advance(1050)
    assert (await api.read(task_id)).json()["data"]["status"] == "pending"
    assert sandbox.stats()["in_flight"] == 1
    sandbox.advance(1100)
    assert (await api.shown(task_id))["status"] == "completed"


@pytest.mark.parametrize(("fault", "status"), [("not_visible_once", 404), ("get_500_once", 500), ("get_429_once", 429)])
async def test_reads_go_wrong_at_first_and_then_right(api: Caller, fault: str, status: int) -> None:
    task_id = await api.bought(f"x [fault:{fault}=2]")
    assert [(await api.read(task_id)).status_code for _ in range(3)] == [status, status, 200]


async def test_a_completed_task_may_have_no_address(api: Caller) -> None:
    task_id = await api.bought("x [fault:no_address]")
    empty = {"image_base64": "", "image_url": ""}
    assert (await api.shown(task_id))["output"] == empty
    assert (await api.shown(task_id))["output"] == empty


async def test_an_address_may_come_with_the_second_look(api: Caller) -> None:
    task_id = await api.bought("x [fault:no_address_once]")
    assert (await api.shown(task_id))["output"]["image_url"] == ""
    assert (await api.shown(task_id))["output"]["image_url"] != ""


async def test_the_control_route_gives_the_next_creates_a_fault(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(next_faults={"throttled": 1, "html_502": 2})
    statuses = [(await api.create(f"x {number}")).status_code for number in range(3)]
    assert statuses == [429, 502, 200]
    assert sandbox.options()["next_faults"] == {}


async def test_a_share_of_creates_gets_a_fault_the_same_ones_for_a_seed(api: Caller, sandbox: Sandbox) -> None:
    async def refused(seed: int) -> list[int]:
        sandbox.reset(seed=seed, fault_rates={"refuse_503": 0.3})
        return [number for number in range(60) if (await api.create(f"x {number}")).status_code == 503]

    first = await refused(1)
    assert 8 <= len(first) <= 30
    assert first == await refused(1)
    assert first != await refused(2)


async def test_the_whole_api_can_go_away_and_come_back(api: Caller, sandbox: Sandbox) -> None:
    task_id = await api.bought()
    sandbox.options(outage="refuse_503")
    assert [(await api.create()).status_code, (await api.read(task_id)).status_code] == [503, 503]
    sandbox.options(outage="drop")
    with pytest.raises(httpx.TransportError):
        await api.read(task_id)
    sandbox.options(outage="hang")
    with pytest.raises(httpx.ReadTimeout):
        await api.http.get("/account/info", timeout=httpx.Timeout(90, read=0.2))
    sandbox.options(outage="none")
    assert (await api.shown(task_id))["status"] == "completed"
    assert sandbox.ledger()["tasks_bought"] == 1


async def test_many_sleeping_tasks_cost_no_time(api: Caller, sandbox: Sandbox) -> None:
    """Hundreds of tasks wait, and all are seen ended after one push of the clock."""
    sandbox.options(paint="plain", latency=500)
    began = time.process_time()
    tasks = [await api.bought(f"x {number}") for number in range(300)]
    sandbox.advance(10_000)
    done = await asyncio.gather(*(api.read(task_id) for task_id in tasks[:50]))
    assert {answer.json()["data"]["status"] for answer in done} == {"completed"}
    assert sandbox.stats()["statuses"] == {"completed": 300}
    assert time.process_time() - began < 15
