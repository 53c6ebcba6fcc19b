"""Money, history, limits and counts: what an account sees, and what the ledger tells a test."""

import urllib.error
import urllib.request

import httpx
import pytest

from tests.integration.sandbox.conftest import Caller, order
from tests.parts.sandbox import Sandbox


async def rows(api: Caller, **query: object) -> list[dict[str, object]]:
    answer = await api.http.get("/api/open/tasks/histories", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["data"]["data"]
    return found


async def test_every_accepted_task_lowers_the_balance(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(balance_usd=0.05)
    await api.bought("one")
    await api.bought("two")
    account = (await api.http.get("/account/info")).json()
    assert account["code"] == 200
    assert account["data"]["equivalent_in_usd"] == pytest.approx(0.01)
    refused = await api.create("three")
    assert (refused.status_code, refused.json()["message"]) == (402, "insufficient credits")
    sandbox.options(balance_usd=1)
    assert (await api.create("three")).status_code == 200
    assert sandbox.ledger()["balance_units"] == 10_000_000 - 200_000


async def test_the_ledger_names_every_purchase_and_counts_doubles(api: Caller, sandbox: Sandbox) -> None:
    hook = {"endpoint": "http://127.0.0.1:9/t1", "secret": "s1"}
    sandbox.options(callback_attempts=1)
    first = await api.bought("one", hook=hook)
    await api.bought("one", hook=hook)
    await api.bought("two")
    ledger = sandbox.ledger()
    assert (ledger["tasks_bought"], ledger["units"]) == (3, 600_000)
    assert ledger["duplicates"] == {"same_input": 1, "same_webhook": 1}
    row = ledger["tasks"][0]
    assert (row["task_id"], row["prompt"], row["seed"]) == (first, "one", 7)
    assert (row["webhook_endpoint"], row["webhook_secret"]) == (hook["endpoint"], "s1")


async def test_history_rows_name_tasks_but_not_what_was_asked(api: Caller) -> None:
    ids = [await api.bought(f"secret wish {number}", hook={"endpoint": "", "secret": "tok"}) for number in range(3)]
    found = await rows(api)
    assert [row["task_id"] for row in found] == ids[::-1]
    assert set(found[0]) == {"id", "task_id", "task_model", "status", "service_mode", "usage", "created_at"}
    assert "wish" not in str(found)
    assert "tok" not in str(found)


async def test_history_is_paged_and_filtered(api: Caller, sandbox: Sandbox) -> None:
    start = sandbox.now()
    early = [await api.bought(f"{number}") for number in range(5)]
    sandbox.advance(100)
    late = [await api.bought(f"late {number}") for number in range(3)]
    everything = (late[::-1]) + (early[::-1])
    assert [row["task_id"] for row in await rows(api, page_size=3)] == everything[:3]
    assert [row["task_id"] for row in await rows(api, page_size=3, page=3)] == everything[6:]
    assert [row["task_id"] for row in await rows(api, start_time=int(start) + 50)] == late[::-1]
    assert [row["task_id"] for row in await rows(api, end_time=int(start) + 50)] == early[::-1]
    assert len(await rows(api, model="flux")) == 8
    assert await rows(api, model="kling") == []
    answer = (await api.http.get("/api/open/tasks/histories", params={"page_size": "3"})).json()["data"]
    assert (answer["page"], answer["size"], answer["total"]) == (1, 3, 8)


@pytest.mark.parametrize("query", [{"page_size": "101"}, {"page_size": "0"}, {"page": "0"}, {"start_time": "soon"}])
async def test_bad_history_queries_are_refused(api: Caller, query: dict[str, str]) -> None:
    assert (await api.http.get("/api/open/tasks/histories", params=query)).status_code == 400


async def test_history_lags_behind_creates(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(history_lag=60)
    task_id = await api.bought()
    assert await rows(api) == []
    sandbox.advance(61)
    assert [row["task_id"] for row in await rows(api)] == [task_id]


async def test_creates_beyond_the_rate_are_refused_before_they_are_read(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(creates_per_second=0.01, burst=0)
    assert (await api.create()).status_code == 200
    refused = await api.http.post("/api/v1/task", content=b"not even JSON")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    sandbox.advance(101)
    assert (await api.create()).status_code == 200
    stats = sandbox.stats()
    assert (stats["creates"], stats["accepted"], stats["throttled"]["creates"]) == (3, 2, 1)


async def test_reads_beyond_the_rate_are_refused(api: Caller, sandbox: Sandbox) -> None:
    task_id = await api.bought()
    sandbox.options(reads_per_second=0.01, burst=200)
    statuses = [(await api.read(task_id)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert sandbox.stats()["throttled"]["reads"] == 1


async def test_tasks_beyond_the_concurrency_are_refused_until_one_ends(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(latency=1000, max_concurrent=2)
    await api.bought("one")
    await api.bought("two")
    assert (await api.create("three")).status_code == 429
    assert (await api.http.get("/account/info")).json()["data"]["max_concurrent_task_count"] == 2
    sandbox.advance(5000)
    await api.bought("three")
    assert sandbox.stats()["max_in_flight"] == 2


async def test_stats_count_reads_and_answers(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(latency=100, latency_sigma=0, wait=0, paint="plain")
    task_id = await api.bought()
    await api.read(task_id)
    sandbox.advance(130)
    await api.shown(task_id)
    stats = sandbox.stats()
    assert stats["gets"] == 2
    assert stats["answers"] == {"200": 3}


@pytest.mark.parametrize(
    ("method", "path", "body", "text"),
    [
        ("PATCH", "options", b'{"latencyy": 1}', "latencyy: Extra inputs are not permitted"),
        ("PATCH", "options", b'{"latency": -1}', "latency: Input should be greater than or equal to 0"),
        ("PATCH", "options", b'{"next_faults": {"fial": 1}}', "next_faults: Value error, unknown fault 'fial'"),
        ("PATCH", "options", b"[]", "the body is not a JSON object"),
        ("PATCH", "options", b'{"data_dir": "/tmp"}', "data_dir: can only be set at the start"),
        ("PATCH", "options", b'{"next_faults": {"drop": -1}}', "next_faults: Input should be greater"),
        ("POST", "reset", b'{"echo": "no"}', "echo: Input should be 'whole', 'blank' or 'strip'"),
        ("POST", "clock", b'{"advance": -5}', "clock: send"),
        ("POST", "clock", b"{", "the body is not a JSON object"),
    ],
)
def test_control_calls_with_faults_are_refused_and_change_nothing(
    sandbox: Sandbox, method: str, path: str, body: bytes, text: str
) -> None:
    before = sandbox.options()
    answer = httpx.request(method, f"{sandbox.base_url}/sandbox/{path}", content=body, trust_env=False)
    assert answer.status_code == 400
    assert text in answer.json()["message"]
    assert sandbox.options() == before


async def test_reset_forgets_everything(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(api_key="other")
    sandbox.reset()
    await api.bought()
    sandbox.reset()
    assert sandbox.ledger()["tasks_bought"] == 0
    assert (await api.http.post("/api/v1/task", json=order())).status_code == 200


async def test_the_edge_turns_pythons_own_agent_away_as_the_real_one_does(sandbox: Sandbox) -> None:
    request = urllib.request.Request(f"{sandbox.base_url}/account/info", headers={"X-API-Key": "any"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
    assert (refused.value.code, refused.value.read()) == (403, b"error code: 1010")
