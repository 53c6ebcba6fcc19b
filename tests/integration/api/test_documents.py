"""The API's documents match its behaviour."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.errors import CODES, ProblemView
from api.schemas.edits import EditView, EventView, PageView
from api.schemas.operations import ReadyView
from tests.integration.api.conftest import Api
from tests.integration.api.progress import Progress, png

MODELS = {
    "edit": EditView, "page": PageView, "event": EventView, "problem": ProblemView,
    "ready": ReadyView,
}  # fmt: skip


@pytest.fixture
def described(public_client: httpx.Client) -> dict[str, Any]:
    answer = public_client.get("/openapi.json")
    assert answer.status_code == 200
    description: dict[str, Any] = answer.json()
    return description


def references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    schemas_there = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert references(described) <= schemas_there


def test_errors_are_described_as_problems(described: dict[str, Any]) -> None:
    problem = {"$ref": "#/components/schemas/ProblemView"}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if method == "head":
                    assert "content" not in answer, (path, status)
                elif status >= "400" and (path, status) != ("/readyz", "503"):
                    assert answer["content"].keys() == {"application/problem+json"}, (path, method, status)
                    assert answer["content"]["application/problem+json"]["schema"] == problem
                    named = set(re.findall(r"`(\w+)`", answer["description"]))
                    assert named, (path, method, status)
                    assert {CODES[code].status for code in named} == {int(status)}


def test_only_what_is_open_needs_no_key(described: dict[str, Any]) -> None:
    without = {
        path for path, operations in described["paths"].items() if not all("security" in o for o in operations.values())
    }
    assert without == {
        "/v1/objects/{token}/{filename}", "/v1/callbacks/qubico/{token}", "/healthz", "/readyz", "/metrics"
    }  # fmt: skip


def test_the_example_of_a_body_is_accepted(api: Api, described: dict[str, Any]) -> None:
    body = described["components"]["schemas"]["EditRequest"]
    assert body["required"] == ["prompt", "image"]
    assert body["additionalProperties"] is False
    assert api.client.post("/v1/edits", json=body["examples"][0]).status_code == 202


def test_the_address_of_the_server_is_the_public_one(api: Api, described: dict[str, Any]) -> None:
    assert described["servers"] == [{"url": api.settings.public_url}]


async def test_answers_have_exactly_the_members_described(
    api: Api, client: httpx.AsyncClient, progress: Progress, described: dict[str, Any]
) -> None:
    api.accept()
    edit_id = await progress.succeeded(png())
    shown: list[tuple[str, Any]] = [
        ("EditView", (await client.get(f"/v1/edits/{edit_id}")).json()),
        ("EditView", api.accept()),
        ("PageView", (await client.get("/v1/edits")).json()),
        ("EventView", (await client.get(f"/v1/edits/{edit_id}/timeline")).json()[0]),
        ("ProblemView", (await client.get("/v1/edits?limit=0")).json()),
        ("ReadyView", (await client.get("/readyz?verbose")).json()),
    ]
    for name, answer in shown:
        properties = described["components"]["schemas"][name]["properties"]
        assert answer.keys() == properties.keys(), name
        assert set(described["components"]["schemas"][name].get("required", [])) <= answer.keys()
    for name, model in MODELS.items():
        assert described["components"]["schemas"][model.__name__]["type"] == "object", name


def test_the_page_loads_nothing_from_elsewhere(public_client: httpx.Client, described: dict[str, Any]) -> None:
    answer = public_client.get("/docs")
    page = answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?:https?:)?//", page)
    assert "@import" not in page
    assert "/openapi.json" in page
    policy = answer.headers["content-security-policy"]
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"\son\w+=|style=", page)


def test_the_types_of_problems_lead_to_the_page(described: dict[str, Any]) -> None:
    assert described["x-problems"].keys() == CODES.keys()
    assert json.dumps(described["x-problems"]["queue_full"])


@pytest.mark.browser
def test_the_page_shows_every_operation_in_a_browser(api: Api, described: dict[str, Any], tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing: scripts/ci-parts installs it")
        pytest.skip("Chromium is not installed: apt-get install chromium")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=5000",
        f"--user-data-dir={tmp_path}",
    ]
    command = [browser, *options, "--enable-logging=stderr", "--dump-dom", f"{api.url}/docs"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    assert "CONSOLE" not in shown.stderr
    sections = set(re.findall(r'<section id="(\w+)"', shown.stdout))
    operations = {o["operationId"] for path in described["paths"].values() for o in path.values()}
    assert sections == operations | {"problems"}
    assert f"curl -X POST '{api.url}/v1/edits'" in shown.stdout
    assert all(f'<tr id="{code}">' in shown.stdout for code in CODES)
    responses = described["paths"]["/v1/edits"]["post"]["responses"]
    summaries = [one["summary"] for one in responses["200"]["content"]["application/json"]["examples"].values()]
    assert all(f"{summary}</summary><pre>" in shown.stdout for summary in [*summaries, CODES["queue_full"].title])
