"""The provider's wire format, read as raw JSON from a real socket."""

import re
import uuid
from typing import Any

import httpx
import pytest

from tests.integration.sandbox.conftest import IMAGE, Caller, order
from tests.parts.sandbox import Sandbox

YEAR_ONE = "0001-01-01T00:00:00Z"
GO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z")


async def test_a_create_is_answered_with_a_pending_task_at_full_price(api: Caller) -> None:
    hook = {"endpoint": "", "secret": "token.1"}
    answer = await api.http.post("/api/v1/task", json=order("snow", hook=hook, width=832, height=640, steps=10))

    assert answer.status_code == 200
    body = answer.json()
    data = body.pop("data")
    assert body == {"code": 200, "message": "success"}
    assert str(uuid.UUID(data.pop("task_id"))) == str(uuid.UUID(answer.json()["data"]["task_id"]))
    meta = data.pop("meta")
    assert GO_TIME.fullmatch(meta.pop("created_at"))
    assert meta == {
        "started_at": YEAR_ONE,
        "ended_at": YEAR_ONE,
        "usage": {"type": "point", "frozen": 200000, "consume": 0},
        "is_using_private_pool": False,
    }
    assert data == {
        "model": "Qubico/flux1-dev-advanced",
        "task_type": "kontext",
        "status": "pending",
        "config": {"service_mode": "", "webhook_config": hook},
        "input": {"height": 640, "image": IMAGE, "prompt": "snow", "seed": 7, "steps": 10, "width": 832},
        "output": None,
        "detail": None,
        "logs": [],
        "error": {"code": 0, "raw_message": "", "message": "", "detail": None},
    }


@pytest.mark.parametrize(
    ("usage", "pending", "completed"),
    [
        ("2025", {"type": "llm", "frozen": 0, "consume": 350000}, {"type": "llm", "frozen": 0, "consume": 350000}),
        ("2026", {"type": "point", "frozen": 350000, "consume": 0}, {"type": "point", "frozen": 0, "consume": 350000}),
    ],
)
async def test_both_generations_of_prices(
    api: Caller, sandbox: Sandbox, usage: str, pending: Any, completed: Any
) -> None:
    sandbox.options(usage=usage, price=350_000, paint="plain")
    task_id = await api.bought()
    assert (await api.shown(task_id, "pending", "processing"))["meta"]["usage"] == pending
    sandbox.advance(60)
    assert (await api.shown(task_id, "completed"))["meta"]["usage"] == completed
    assert sandbox.ledger()["units"] == 350_000


async def test_missing_fields_get_the_providers_defaults(api: Caller) -> None:
    body = order()
    del body["input"]["seed"]
    shown = (await api.http.post("/api/v1/task", json=body)).json()["data"]["input"]
    assert (shown["width"], shown["height"], shown["steps"], shown["seed"]) == (1024, 1024, 28, -1)


async def test_a_task_passes_through_its_states_as_time_goes_on(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(wait=100, latency=100, latency_sigma=0)
    task_id = await api.bought()
    assert (await api.shown(task_id, "pending"))["meta"]["started_at"] == YEAR_ONE

    sandbox.advance(101)
    running = await api.shown(task_id, "processing")
    assert GO_TIME.fullmatch(running["meta"]["started_at"])
    assert running["meta"]["ended_at"] == YEAR_ONE
    assert running["output"] is None

    sandbox.advance(100)
    done = await api.shown(task_id)
    assert done["status"] == "completed"
    assert GO_TIME.fullmatch(done["meta"]["ended_at"])
    assert done["output"]["image_base64"] == ""
    assert re.fullmatch(rf"{sandbox.base_url}/temp/[0-9a-f-]{{36}}\.png", done["output"]["image_url"])


async def test_result_addresses_begin_with_the_public_url_when_one_is_set(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(public_url="http://img.sandbox.test/")
    done = await api.shown(await api.bought())
    assert done["output"]["image_url"].startswith("http://img.sandbox.test/temp/")


@pytest.mark.parametrize(
    ("echo", "config"),
    [
        ("whole", {"service_mode": "public", "webhook_config": {"endpoint": "http://127.0.0.1:9/x", "secret": "s"}}),
        ("blank", {"service_mode": "public", "webhook_config": {"endpoint": "", "secret": ""}}),
        ("strip", {"service_mode": "public"}),
    ],
)
async def test_config_is_echoed_as_the_switch_says(
    api: Caller, sandbox: Sandbox, echo: str, config: dict[str, Any]
) -> None:
    sandbox.options(echo=echo, callback_attempts=1)
    body = order()
    body["config"] = {"service_mode": "public", "webhook_config": {"endpoint": "http://127.0.0.1:9/x", "secret": "s"}}
    assert (await api.http.post("/api/v1/task", json=body)).json()["data"]["config"] == config


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"width": "1024"}, r"json: cannot unmarshal string into .*input\.width of type int", id="string"),
        pytest.param({"steps": 10.5}, r"json: cannot unmarshal number 10\.5 into .*steps of type int", id="fraction"),
        pytest.param({"seed": True}, r"json: cannot unmarshal bool into .*seed of type int", id="bool"),
        pytest.param({"seed": 2**63}, r"json: cannot unmarshal number 9223372036854775808 into .*", id="overflow"),
        pytest.param({"prompt": 5}, r"json: cannot unmarshal number into .*prompt of type string", id="number"),
        pytest.param({"negative_prompt": "x"}, r'json: unknown field "negative_prompt"', id="unknown field"),
        pytest.param({"prompt": " "}, "prompt is required", id="empty prompt"),
        pytest.param({"image": ""}, "image is required", id="no image"),
        pytest.param({"width": 100}, "width and height must be .*", id="too small"),
        pytest.param({"width": 2048, "height": 1024}, r"width\*height must not exceed 1048576", id="area"),
        pytest.param({"steps": 41}, "steps must be between 1 and 40", id="steps"),
        pytest.param({"seed": -2}, "seed must be -1 or greater", id="seed"),
        pytest.param({"prompt": "x [fault:fialed]"}, "sandbox: unknown fault 'fialed'", id="unknown fault"),
    ],
)
async def test_a_bad_input_field_is_refused_and_nothing_bought(
    api: Caller, sandbox: Sandbox, change: dict[str, Any], text: str
) -> None:
    body = order()
    body["input"] |= change
    answer = await api.http.post("/api/v1/task", json=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == 400
    assert answer.json()["data"] is None
    assert re.fullmatch(text, answer.json()["message"])
    assert sandbox.ledger()["tasks_bought"] == 0


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "EOF"),
        (b"{", "invalid character in request body: .*"),
        (b"[]", "json: cannot unmarshal array into Go value of type CreateTask"),
        (b"null", "json: cannot unmarshal null into Go value of type CreateTask"),
        (b"\xff\xfe{}", "invalid character in request body: .*"),
        (b'{"model": "\\ud800"}', "invalid character in request body: .*"),
        (b'{"model": NaN}', "invalid character in request body: .*"),
        (b'{"model": "Qubico/flux1-kontext-dev"}', "invalid model"),
        (b'{"model": "Qubico/flux1-dev", "task_type": "kontext"}', "invalid task type"),
        (b'{"model": "Qubico/flux1-dev-advanced", "task_type": "img2img-kontext"}', "invalid task type"),
        (b'{"model": "Qubico/flux1-dev-advanced", "task_type": "kontext", "input": []}', "json: cannot unmarshal a.*"),
        (b'{"config": {"webhook_config": {"endpoint": 1}}, "model": 3}', "json: cannot unmarshal number into .*"),
    ],
)
async def test_a_bad_body_is_refused_with_the_servers_text(api: Caller, content: bytes, text: str) -> None:
    answer = await api.http.post("/api/v1/task", content=content)
    assert answer.status_code == 400
    assert re.fullmatch(text, answer.json()["message"])


async def test_a_service_mode_outside_the_list_is_refused(api: Caller) -> None:
    body = order()
    body["config"] = {"service_mode": "fast"}
    answer = await api.http.post("/api/v1/task", json=body)
    assert (answer.status_code, answer.json()["message"]) == (400, "invalid service mode")


async def test_a_body_beyond_the_cap_is_refused(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(max_body_bytes=5000)
    answer = await api.create("long " * 2000)
    assert (answer.status_code, answer.json()["message"]) == (400, "task input too large")


@pytest.mark.parametrize("key", ["", "wrong", "sandbox-key,other"])
@pytest.mark.parametrize("path", ["/api/v1/task/x", "/account/info", "/account/active_tasks"])
async def test_a_bad_key_is_answered_401(sandbox: Sandbox, path: str, key: str) -> None:
    async with httpx.AsyncClient(base_url=sandbox.base_url, timeout=90, trust_env=False) as http:
        answer = await http.get(path, headers={"X-API-Key": key} if key else {})
    assert answer.status_code == 401
    assert answer.json() == {"code": 401, "message": "failed to verify api key"}


async def test_keys_can_be_exchanged_while_running(api: Caller, sandbox: Sandbox) -> None:
    sandbox.options(api_key="new-key,second-key")
    assert (await api.create()).status_code == 401
    api.http.headers["X-API-Key"] = "second-key"
    assert (await api.create()).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/api/v1/task"), ("DELETE", "/api/v1/task/x"), ("POST", "/api/v2/task")]
)
async def test_an_unknown_route_is_plain_text_404(api: Caller, method: str, path: str) -> None:
    answer = await api.http.request(method, path)
    assert (answer.status_code, answer.text) == (404, "404 page not found")
    assert answer.headers["content-type"].startswith("text/plain")


async def test_an_unknown_task_is_a_json_404(api: Caller) -> None:
    answer = await api.read(str(uuid.uuid4()))
    assert answer.status_code == 404
    assert answer.json() == {"code": 404, "data": None, "message": "Task ID not found"}


async def test_the_default_agent_of_urllib_is_turned_away_by_the_edge(api: Caller) -> None:
    answer = await api.http.get("/account/info", headers={"User-Agent": "Python-urllib/3.11"})
    assert (answer.status_code, answer.text) == (403, "error code: 1010")


async def test_odd_tasks_have_capitals_eastern_times_and_null_logs(api: Caller) -> None:
    done = await api.shown(await api.bought("x [fault:odd]"))
    assert done["status"] == "Completed"
    assert done["logs"] is None
    assert done["meta"]["created_at"].endswith("+08:00")


async def test_odd_codes_do_not_mean_failure(api: Caller) -> None:
    task_id = await api.bought("x [fault:odd_code]")
    done = await api.shown(task_id)
    assert (done["status"], done["error"]["code"], done["error"]["message"]) == ("completed", 1100, "")
    assert (await api.read(task_id)).json()["code"] == 0


async def test_prompts_of_any_script_come_back_unchanged(api: Caller) -> None:
    prompt = "größer, 雪を降らせて 🌨"
    assert (await api.create(prompt)).json()["data"]["input"]["prompt"] == prompt
