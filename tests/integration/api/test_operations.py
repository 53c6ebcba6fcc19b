import re
from collections.abc import Callable
from datetime import datetime

import httpx
import pytest

from edits.db.circuits import Limiter, Operation
from tests.integration.api.conftest import KEY, Api
from tests.integration.api.progress import Progress
from tests.integration.api.test_waiting import listening


def test_the_process_says_that_it_lives(public_client: httpx.Client) -> None:
    assert public_client.get("/healthz").json() == {"status": "ok"}


async def test_it_is_ready_with_redis_there(client: httpx.AsyncClient) -> None:
    await listening(client)
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "parts": None, "circuits": None})


@pytest.mark.parametrize("query", ["verbose", "verbose=true", "verbose=1"])
async def test_the_operator_sees_every_part(client: httpx.AsyncClient, query: str) -> None:
    await listening(client)
    answer = (await client.get(f"/readyz?{query}")).json()
    assert (answer["status"], answer["circuits"]) == ("ok", [])
    assert {name: part["status"] for name, part in answer["parts"].items()} == {
        "redis": "ok", "room": "ok", "storage": "ok", "provider": "ok", "process": "ok"
    }  # fmt: skip


async def test_a_closed_provider_is_only_a_degradation(api: Api, client: httpx.AsyncClient, progress: Progress) -> None:
    edit_id = api.accept()["id"]
    await progress.block("the account has no credit")
    answer = await client.get("/readyz?verbose")
    part = answer.json()["parts"]["provider"]
    assert (answer.status_code, answer.json()["status"], part["status"]) == (200, "degraded", "degraded")
    assert part["detail"] == "provider_account: the account has no credit"
    assert (await client.get(f"/v1/edits/{edit_id}")).json()["waiting"]["for"] == "provider_account"


@pytest.mark.parametrize(("operation", "part"), [("read", "provider"), ("storage", "storage")])
async def test_what_does_not_work_is_told_with_its_next_probe(
    client: httpx.AsyncClient, progress: Progress, operation: Operation, part: str
) -> None:
    limiter = Limiter(progress.repository.scripts)
    await limiter.open(operation, after=60, cause="Unavailable: 503")
    answer = (await client.get("/readyz?verbose")).json()
    (circuit,) = answer["circuits"]
    since, probe = (datetime.fromisoformat(circuit[name]) for name in ("since", "next_probe_at"))
    assert (circuit["operation"], circuit["cause"], (probe - since).total_seconds()) == (
        operation, "Unavailable: 503", pytest.approx(60, abs=0.1),
    )  # fmt: skip
    assert answer["status"] == answer["parts"][part]["status"] == "degraded"
    assert f"{operation} since {since:%H:%M:%S} UTC" in answer["parts"][part]["detail"]
    await limiter.close(operation)
    assert (await client.get("/readyz?verbose")).json()["circuits"] == []


def test_unusable_storage_is_only_a_degradation(start_api: Callable[..., Api]) -> None:
    api = start_api()
    api.objects.rmdir()
    api.objects.write_text("a file where the folder was")
    answer = api.client.get("/readyz?verbose")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"]["storage"]["status"] == "degraded"


@pytest.mark.parametrize(
    ("scope", "process", "cluster"),
    [("", True, True), ("?scope=process", True, False), ("?scope=cluster", False, True)],
)
def test_metrics_come_by_scope(api: Api, public_client: httpx.Client, scope: str, process: bool, cluster: bool) -> None:
    api.accept()
    answer = public_client.get(f"/metrics{scope}")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert ("retouch_build_info" in answer.text) is process
    assert bool(re.search(r"^retouch_edits_accepted_total 1\.0$", answer.text, re.MULTILINE)) is cluster


def test_metrics_of_another_scope_are_refused(public_client: httpx.Client) -> None:
    assert public_client.get("/metrics?scope=all").json()["errors"][0]["code"] == "not_allowed"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_metrics_through_a_proxy_need_the_key(api: Api, public_client: httpx.Client, header: str) -> None:
    assert public_client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 401
    assert api.client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 200


def test_metrics_off_loopback_need_the_key(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_API__HOST="0.0.0.0")
    with httpx.Client(base_url=f"http://127.0.0.1:{api.settings.api.port}", timeout=90, trust_env=False) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"X-API-Key": KEY}).status_code == 200


def test_a_process_that_is_ending_says_so_and_serves_the_connections_that_it_has(start_api: Callable[..., Api]) -> None:
    api = start_api()
    edit_id = api.accept()["id"]
    api.app.state.parts.live.drain()
    answer = api.client.get("/readyz?verbose")
    assert (answer.status_code, answer.json()["status"], answer.json()["parts"]["process"]["status"]) == (
        503,
        "down",
        "down",
    )
    answer = api.client.post("/v1/edits", json={"prompt": "x", "image": "http://example.com/a.png"})
    assert answer.status_code == 202
    assert api.client.get(f"/v1/edits/{edit_id}", headers={"Prefer": "wait=20"}).json()["status"] == "queued"
