"""The sandbox, asked as the vendor's own public clients ask: their headers, bodies, pace and way of reading answers.

Written from descriptions of those clients. Time is the sandbox's clock, pushed on instead of slept through.
"""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.contract.subject import as_data_uri, picture
from tests.parts.sandbox import Sandbox

IMAGE = as_data_uri(picture())
KONTEXT = {"model": "Qubico/flux1-dev-advanced", "task_type": "kontext"}


class Refused(Exception):
    """What a client tells its user."""


@dataclass
class Vendor:
    """The wire and the clock that all of them share."""

    sandbox: Sandbox
    http: httpx.AsyncClient

    async def send(self, method: str, path: str, headers: dict[str, str], body: object = None) -> httpx.Response:
        content = None if body is None else json.dumps(body)
        return await self.http.request(method, path, headers=headers, content=content)


@pytest.fixture
async def vendor(sandbox: Sandbox) -> AsyncIterator[Vendor]:
    sandbox.options(latency=20, latency_sigma=0, wait=2)
    async with httpx.AsyncClient(base_url=sandbox.base_url, timeout=90, trust_env=False) as http:
        http.headers.clear()
        yield Vendor(sandbox, http)


# --- the command line client: `Content-Type` on reads too, Node's agent, a code below 400 is well, 1 s growing to 30 s


class CommandLine:
    def __init__(self, vendor: Vendor, *, key: str | None = None) -> None:
        self.vendor = vendor
        self.headers = {
            "Content-Type": "application/json",
            "X-API-Key": key or vendor.sandbox.api_key,
            "User-Agent": "node",
            "Accept": "*/*",
            "Accept-Language": "*",
            "Sec-Fetch-Mode": "cors",
            "Accept-Encoding": "gzip, deflate",
        }

    async def call(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.vendor.send(method, path, self.headers, body)
        try:
            payload = answer.json()
        except ValueError:
            raise Refused(f"HTTP {answer.status_code}: {answer.text}") from None
        if answer.is_error or payload.get("code", 200) >= 400:
            raise Refused(payload["message"])
        return payload["data"]

    async def run(self, *, webhook: str | None = None, **typed: Any) -> dict[str, Any]:
        config = {"config": {"webhook_config": {"endpoint": webhook}}} if webhook else {}
        created = await self.call("POST", "/api/v1/task", {**KONTEXT, "input": typed, **config})
        waited, pause = 0.0, 1.0
        while waited <= 300:
            task: dict[str, Any] = await self.call("GET", f"/api/v1/task/{created['task_id']}")
            if task["status"] in {"completed", "failed"}:
                return task
            self.vendor.sandbox.advance(pause)
            waited, pause = waited + pause, min(pause * 1.5, 30.0)
        raise Refused("timed out")


async def test_the_command_line_client_edits_with_nothing_but_prompt_and_image(vendor: Vendor) -> None:
    task = await CommandLine(vendor).run(prompt="make it winter", image=IMAGE)
    assert task["status"] == "completed"
    assert task["meta"]["usage"]["consume"] == 200_000
    async with httpx.AsyncClient(timeout=90, trust_env=False) as browser:
        assert (await browser.get(task["output"]["image_url"])).headers["content-type"] == "image/png"
    assert vendor.sandbox.stats()["gets"] in range(5, 12)


async def test_numbers_typed_at_the_command_line_and_a_webhook_without_a_secret_are_taken(vendor: Vendor) -> None:
    vendor.sandbox.options(callback_attempts=1)
    hook = "http://127.0.0.1:9/nobody"
    task = await CommandLine(vendor).run(webhook=hook, prompt="snow", image=IMAGE, width=1344, height=768, steps=10)
    assert task["config"]["webhook_config"] == {"endpoint": hook, "secret": ""}
    assert (task["input"]["width"], task["input"]["height"], task["input"]["seed"]) == (1344, 768, -1)


async def test_the_command_line_client_tells_why_a_task_failed(vendor: Vendor) -> None:
    task = await CommandLine(vendor).run(prompt="snow [fault:moderated]", image=IMAGE)
    assert (task["status"], task["output"], task["error"]["message"]) == ("failed", None, "task failed")


async def test_the_command_line_client_reads_account_and_counters(vendor: Vendor) -> None:
    client = CommandLine(vendor)
    await client.call("POST", "/api/v1/task", {**KONTEXT, "input": {"prompt": "snow", "image": IMAGE}})
    account = await client.call("GET", "/account/info")
    assert account["equivalent_in_usd"] == pytest.approx(9999.98)
    assert account["plan"]
    assert account["credit_pack_info"]["available_credits"] == account["wallet"]["point_remain"] == 99_999_800_000
    counters = await client.call("GET", "/account/active_tasks")
    running = {
        name: sum(row[f"{state}_count"] for state in ("staged", "pending", "processing"))
        for name, row in counters.items()
    }
    assert running == {"flux": 1}


async def test_the_command_line_client_tells_a_wrong_key_task_and_address_apart(vendor: Vendor) -> None:
    with pytest.raises(Refused, match="failed to verify api key"):
        await CommandLine(vendor, key="sk-wrong").call("GET", "/account/info")
    with pytest.raises(Refused, match="Task ID not found"):
        await CommandLine(vendor).call("GET", "/api/v1/task/no-such-task")
    for method, path in (("GET", "/api/v2/task/no-such-task"), ("POST", "/api/v1/task/some-id/cancel")):
        with pytest.raises(Refused, match="HTTP 404: 404 page not found"):
            await CommandLine(vendor).call(method, path)
    with pytest.raises(Refused, match="invalid task type"):
        await CommandLine(vendor).call("POST", "/api/v1/task", {**KONTEXT, "task_type": "txt2img", "input": {}})


async def test_the_command_line_client_uploads_a_file_and_edits_it(vendor: Vendor) -> None:
    client = CommandLine(vendor)
    client.headers["x-api-key"] = client.headers.pop("X-API-Key")
    sent = {"file_name": "house.png", "file_data": base64.b64encode(picture()).decode()}
    answer = await vendor.send("POST", "/api/ephemeral_resource", client.headers, sent)
    assert answer.status_code == 200, answer.text
    payload = answer.json()
    assert payload["url"] == payload["data"]["url"], "one version of the client reads either"
    assert (await client.run(prompt="snow", image=payload["url"]))["status"] == "completed"
    vendor.sandbox.advance(24 * 3600 + 1)
    async with httpx.AsyncClient(timeout=90, trust_env=False) as browser:
        assert (await browser.get(payload["url"])).status_code == 404


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param({"file_name": "house.png", "file_data": IMAGE}, 200, id="data URI"),
        pytest.param({"file_name": "house.jpg", "file_data": IMAGE}, 400, id="data URI of another type"),
        pytest.param({"file_name": "house.exe", "file_data": "AAAA"}, 400, id="extension"),
        pytest.param({"file_name": "a" * 125 + ".png", "file_data": "AAAA"}, 400, id="long name"),
        pytest.param({"file_name": "house.png", "file_data": "%%%"}, 400, id="no base64"),
        pytest.param({"file_name": "house.png", "file_data": "\u00e9"}, 400, id="no ASCII"),
        pytest.param({"file_name": "house.png", "file_data": ""}, 400, id="nothing"),
        pytest.param({"file_name": "house.png"}, 400, id="no data"),
        pytest.param(["house.png"], 400, id="no object"),
    ],
)
async def test_uploads_are_as_strict_as_they_are_described(vendor: Vendor, sent: object, status: int) -> None:
    headers = CommandLine(vendor).headers
    answer = await vendor.send("POST", "/api/ephemeral_resource", headers, sent)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == status
    unknown = await vendor.send("POST", "/api/ephemeral_resource", headers | {"X-API-Key": "wrong"}, sent)
    assert unknown.status_code == 401


# --- the MCP server: only code 200 is well, 30 looks spread over the time, `x-api-key` in its older form


async def mcp(vendor: Vendor, body: dict[str, Any], *, within: int, headers: dict[str, str]) -> dict[str, Any]:
    answer = await vendor.send("POST", "/api/v1/task", headers | {"Content-Type": "application/json"}, body)
    payload = answer.json()
    if payload["code"] != 200:
        raise Refused(f"Task creation failed: {payload['message']}")
    task_id = payload["data"]["task_id"]
    for _ in range(30):
        looked = (await vendor.send("GET", f"/api/v1/task/{task_id}", headers)).json()
        if looked["code"] != 200:
            raise Refused(f"Status check failed: {looked['message']}")
        task: dict[str, Any] = looked["data"]
        if task["status"] == "completed":
            if task["output"] is None:
                raise Refused("no output")
            return task
        if task["status"] == "failed":
            raise Refused(f"Generation failed: {task['error']['message']}")
        vendor.sandbox.advance(within / 30)
    raise Refused("timed out")


@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key", "X-Api-Key"])
async def test_the_mcp_server_creates_and_looks_up_to_thirty_times(vendor: Vendor, name: str) -> None:
    body = {**KONTEXT, "input": {"prompt": "snow", "image": IMAGE, "width": 1024, "height": 1024, "steps": 28}}
    headers = {name: vendor.sandbox.api_key, "Accept": "application/json", "User-Agent": "node"}
    task = await mcp(vendor, body, within=120, headers=headers)
    assert task["output"]["image_url"].startswith("http")
    assert str(task["meta"]["usage"]["consume"]) == "200000"


async def test_the_mcp_server_is_told_of_refusals_and_failures(vendor: Vendor) -> None:
    headers = {"X-API-Key": vendor.sandbox.api_key, "Accept": "application/json", "User-Agent": "node"}
    for model, task_type, why in [
        ("Qubico/flux1-dev", "txt2img", "invalid task type"),
        ("Qubico/flux1-kontext-dev", "kontext", "invalid model"),
    ]:
        with pytest.raises(Refused, match=f"Task creation failed: {why}"):
            await mcp(vendor, {"model": model, "task_type": task_type, "input": {}}, within=60, headers=headers)
    failing = {**KONTEXT, "input": {"prompt": "snow [fault:failed]", "image": IMAGE}}
    with pytest.raises(Refused, match="Generation failed: task failed"):
        await mcp(vendor, failing, within=120, headers=headers)
    stuck = {**KONTEXT, "input": {"prompt": "snow [fault:stuck]", "image": IMAGE}}
    with pytest.raises(Refused, match="timed out"):
        await mcp(vendor, stuck, within=120, headers=headers)


# --- shapes that other clients send


SHAPES = {
    "all optional fields": {
        "config": {"service_mode": "", "webhook_config": {"endpoint": "", "secret": ""}},
        "input": {"width": 1024, "height": 1024, "steps": 28, "seed": -1},
    },
    "empty config": {"config": {}},
    "config null": {"config": None},
    "webhook null": {"config": {"webhook_config": None, "service_mode": None}},
    "optional fields null": {"input": {"width": None, "height": None, "steps": None, "seed": None}},
    "optional fields zero": {"input": {"width": 0, "height": 0, "steps": 0}},
    "pay as you go": {"config": {"service_mode": "public"}},
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_optional_fields_may_be_there_or_not(vendor: Vendor, shape: str) -> None:
    more = dict(SHAPES[shape])
    body = {**KONTEXT, **more, "input": {"prompt": "snow", "image": IMAGE, **(more.get("input") or {})}}
    answer = await vendor.send("POST", "/api/v1/task", {"X-API-Key": vendor.sandbox.api_key}, body)
    assert answer.status_code == 200, answer.text
    taken = answer.json()["data"]["input"]
    assert (taken["width"], taken["height"], taken["steps"], taken["seed"]) == (1024, 1024, 28, -1)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Content-Type": "application/json; charset=utf-8"}, id="axios"),
        pytest.param({"Content-Type": "application/json;charset=UTF-8", "Accept": "application/json, */*"}, id="fetch"),
        pytest.param({"Content-Type": "text/plain"}, id="a form's type"),
        pytest.param({}, id="none"),
    ],
)
async def test_the_type_of_a_body_is_not_looked_at(vendor: Vendor, headers: dict[str, str]) -> None:
    body = {**KONTEXT, "input": {"prompt": "Schnee auf dem Dach, 雪", "image": IMAGE}}
    key = {"X-API-Key": vendor.sandbox.api_key}
    answer = await vendor.send("POST", "/api/v1/task", headers | key, body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["input"]["prompt"] == "Schnee auf dem Dach, 雪"


@pytest.mark.parametrize("kind", ["data URI", "bare base64", "address"])
async def test_a_workflow_tool_sends_pictures_in_three_ways(vendor: Vendor, kind: str) -> None:
    """Asks every 5 s, as such tools do."""
    client = CommandLine(vendor)
    image = IMAGE if kind == "data URI" else base64.b64encode(picture()).decode()
    if kind == "address":
        earlier = await client.run(prompt="snow", image=IMAGE)
        image = earlier["output"]["image_url"]
    created = await client.call("POST", "/api/v1/task", {**KONTEXT, "input": {"prompt": "rain", "image": image}})
    for _ in range(30):
        task = await client.call("GET", f"/api/v1/task/{created['task_id']}")
        if task["status"] in {"completed", "failed"}:
            break
        vendor.sandbox.advance(5)
    assert task["status"] == "completed", task["logs"]


async def test_history_is_paged_as_it_is_described(vendor: Vendor) -> None:
    client = CommandLine(vendor)
    bought = [(await client.run(prompt=f"snow {number}", image=IMAGE))["task_id"] for number in range(3)]
    listed = [
        await client.call("GET", f"/api/open/tasks/histories?page={page}&page_size=2&model=flux") for page in (1, 2, 3)
    ]
    assert [(page["page"], page["size"], page["total"]) for page in listed] == [(1, 2, 3), (2, 2, 3), (3, 2, 3)]
    assert [row["task_id"] for page in listed for row in page["data"]] == bought[::-1]
    assert (await client.call("GET", "/api/open/tasks/histories"))["size"] == 10
    assert (await client.call("GET", "/api/open/tasks/histories?model=kling&start_time=&end_time="))["data"] == []
    with pytest.raises(Refused, match="page_size"):
        await client.call("GET", "/api/open/tasks/histories?page_size=101")
