"""Callbacks need the token of the attempt, and can only cause a read of the task."""

from collections.abc import AsyncIterator

import httpx
import pytest

from edits.attempts import Attempt, Tokens
from tests.integration.api.conftest import SECRET, Api
from tests.integration.api.progress import Progress, png
from tests.integration.edits.dump import dump

HEADER = "X-Webhook-Secret"


@pytest.fixture
def provider(public_client: httpx.Client) -> httpx.Client:
    public_client.base_url = public_client.base_url.join("/v1/callbacks/qubico/")
    return public_client


@pytest.fixture
async def caller(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{api.url}/v1/callbacks/qubico/", timeout=90, trust_env=False) as calling:
        yield calling


def token_of(edit_id: object, attempt: int = 1) -> str:
    return Tokens("retouch", SECRET).sign(Attempt(str(edit_id), attempt))


def said(task_id: str = "task-9", secret: str | None = None) -> dict[str, object]:
    config = {"webhook_config": {"endpoint": "", "secret": secret}}
    return {"timestamp": 1, "data": {"task_id": task_id, "status": "completed", "config": config}}


def test_the_secret_that_comes_back_is_that_of_the_address(api: Api, provider: httpx.Client) -> None:
    token, other = token_of(api.accept()["id"]), token_of(api.accept()["id"])
    for headers, body in ({}, said()), ({HEADER: token}, said(secret=token)), ({HEADER: ""}, said(secret="")):
        assert provider.post(token, json=body, headers=headers).status_code == 200
    for wrong in (other, token[:-1], token + "x", "x"):
        refused = provider.post(token, json=said(), headers={HEADER: wrong})
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        assert provider.post(token, json=said(secret=wrong)).status_code == 404
    not_ascii = provider.post(token, json=said(), headers=[(HEADER, "schlüssel".encode())])
    assert not_ascii.status_code == 404


async def test_a_refused_call_leaves_no_trace(api: Api, caller: httpx.AsyncClient, progress: Progress) -> None:
    edit_id = api.accept()["id"]
    await progress.submitting()
    token = token_of(edit_id)
    redis, namespace = progress.repository.redis, progress.repository.namespace
    before = await dump(redis, namespace)
    foreign = Tokens("retouch2", SECRET).sign(Attempt(str(edit_id), 1))
    forged = Tokens("retouch", SECRET + "x").sign(Attempt(str(edit_id), 1))
    raised = token.replace(".1.", ".2.")
    for wrong in (foreign, forged, raised, token + ".", token.lower(), token.replace(".", "%2e", 1) + "%00", "..%2f.."):
        assert (await caller.post(wrong, json=said())).status_code == 404, wrong
    assert (await caller.post(token, json=said(), headers={HEADER: foreign})).status_code == 404
    assert await dump(redis, namespace) == before


async def test_a_call_that_is_heard_again_moves_nothing_but_the_time_to_look(
    api: Api, caller: httpx.AsyncClient, progress: Progress
) -> None:
    """Whoever overheard one call may repeat it, and name other tasks with it: no status, task or price changes."""
    edit_id = api.accept()["id"]
    await progress.processing("task-1")
    token = token_of(edit_id)
    before = api.client.get(f"/v1/edits/{edit_id}").json()
    for task in ("task-1", "task-1", "task-of-somebody-else", "../../etc/passwd", "\x00", "x" * 500):
        assert (await caller.post(token, json=said(task))).status_code == 200
    after = api.client.get(f"/v1/edits/{edit_id}").json()
    assert {name for name in before if before[name] != after[name]} <= {"updated_at"}
    redis, namespace = progress.repository.redis, progress.repository.namespace
    tasks = [name for name in await dump(redis, namespace) if name.startswith("task:")]
    assert tasks == ["task:task-1"]


async def test_after_the_end_a_call_changes_nothing(api: Api, caller: httpx.AsyncClient, progress: Progress) -> None:
    api.accept()
    edit_id = await progress.succeeded(png())
    redis, namespace = progress.repository.redis, progress.repository.namespace
    before = await dump(redis, namespace)
    for attempt in (1, 2, 99):
        assert (await caller.post(token_of(edit_id, attempt), json=said("task-7"))).status_code == 200
    assert await dump(redis, namespace) == before
