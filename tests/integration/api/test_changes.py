import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from edits.attempts import Attempt, Tokens
from edits.models import ErrorKind, new_id
from tests.integration.api.conftest import SECRET, Api
from tests.integration.api.progress import Progress, png

CALLBACK = {"timestamp": 1, "data": {"task_id": "task-9", "status": "completed", "config": {}}}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_queued_edit_is_canceled_and_stays_so(api: Api, client: httpx.AsyncClient) -> None:
    edit_id = api.accept()["id"]
    for _ in range(2):
        answer = await client.post(f"/v1/edits/{edit_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert answer.json()["cost"]["state"] == "released"
    assert answer.json()["finished_at"] is not None


async def test_it_is_too_late_to_cancel_from_submitting_on(
    api: Api, client: httpx.AsyncClient, progress: Progress
) -> None:
    submitting = api.accept()["id"]
    await progress.submitting()
    succeeded = api.accept()["id"]
    await progress.succeeded(png())
    failed = api.accept()["id"]
    await progress.failed()
    for edit_id in (submitting, succeeded, failed):
        assert code_of(await client.post(f"/v1/edits/{edit_id}/cancel")) == (409, "too_late")


async def test_a_failed_edit_is_tried_again_once(api: Api, client: httpx.AsyncClient, progress: Progress) -> None:
    edit_id = api.accept()["id"]
    await progress.failed()
    answers = await asyncio.gather(*(client.post(f"/v1/edits/{edit_id}/retry") for _ in range(5)))
    (taken,) = [answer for answer in answers if answer.status_code == 202]
    assert taken.headers["location"] == f"{api.url}/v1/edits/{edit_id}"
    assert (taken.json()["status"], taken.json()["attempt"], taken.json()["error"]) == ("queued", 2, None)
    assert {code_of(answer) for answer in answers if answer is not taken} == {(409, "not_finished")}


async def test_only_what_failed_is_tried_again(api: Api, client: httpx.AsyncClient, progress: Progress) -> None:
    queued = api.accept()["id"]
    assert code_of(await client.post(f"/v1/edits/{queued}/retry")) == (409, "not_finished")
    await client.post(f"/v1/edits/{queued}/cancel")
    assert code_of(await client.post(f"/v1/edits/{queued}/retry")) == (409, "too_late")
    api.accept()
    succeeded = await progress.succeeded(png())
    assert code_of(await client.post(f"/v1/edits/{succeeded}/retry")) == (409, "too_late")


async def test_a_retry_looks_first_for_what_was_paid(api: Api, client: httpx.AsyncClient, progress: Progress) -> None:
    edit_id = api.accept()["id"]
    await progress.failed(ErrorKind.SUBMISSION_UNKNOWN)
    edit = (await client.post(f"/v1/edits/{edit_id}/retry")).json()
    assert (edit["status"], edit["waiting"]["for"]) == ("submitting", "answer_lost")


@pytest.mark.parametrize("call", ["cancel", "retry"])
@pytest.mark.parametrize("edit_id", ["edit_03QCPC7P00PR2GCXEP2HV2F44X", "nonsense"])
def test_nothing_is_changed_of_what_is_not_there(api: Api, edit_id: str, call: str) -> None:
    assert code_of(api.client.post(f"/v1/edits/{edit_id}/{call}")) == (404, "not_found")


async def test_a_callback_needs_no_key_and_is_noted(api: Api, progress: Progress) -> None:
    edit_id = api.accept()["id"]
    await progress.submitting()
    token = Tokens("retouch", SECRET).sign(Attempt(str(edit_id), 1))
    async with httpx.AsyncClient(base_url=api.url, timeout=90, trust_env=False) as provider:
        answer = await provider.post(f"/v1/callbacks/qubico/{token}", json=CALLBACK)
    assert (answer.status_code, answer.content) == (200, b"")
    redis = progress.repository.redis
    assert await redis.hget(f"retouch:x:{edit_id}", "cand") == "task-9"
    # Only a hint: nothing of what the callback claims is believed.
    assert api.client.get(f"/v1/edits/{edit_id}").json()["status"] == "submitting"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(CALLBACK, id="documented"),
        pytest.param({"task_id": "task-9", "status": "completed"}, id="flat"),
        pytest.param({"code": 200, "data": {"task_id": "task-9"}, "message": "success"}, id="as a reply"),
    ],
)
def test_a_callback_may_have_any_shape_seen(api: Api, public_client: httpx.Client, body: object) -> None:
    token = Tokens("retouch", SECRET).sign(Attempt(str(api.accept()["id"]), 1))
    content = json.dumps(body)
    for headers in ({"Content-Type": "application/json"}, {}):
        assert public_client.post(f"/v1/callbacks/qubico/{token}", content=content, headers=headers).status_code == 200


def test_a_callback_for_an_edit_that_is_no_more_is_noted(api: Api, public_client: httpx.Client) -> None:
    token = Tokens("retouch", SECRET).sign(Attempt(new_id(), 1))
    assert public_client.post(f"/v1/callbacks/qubico/{token}", json=CALLBACK).status_code == 200


@pytest.mark.parametrize(
    ("token", "body", "status", "code"),
    [
        pytest.param("retouch.edit_1.1.AAAA", b"{}", 404, "not_found", id="forged token"),
        pytest.param("%20", b"{}", 404, "not_found", id="no token"),
        pytest.param(
            Tokens("other", SECRET).sign(Attempt(new_id(), 1)), b"{}", 404, "not_found", id="another system's"
        ),
        pytest.param(None, b"hello", 400, "malformed", id="no JSON"),
        pytest.param(None, b"\xff\xfe", 400, "malformed", id="no text"),
        pytest.param(None, b"[" * 100_000, 400, "malformed", id="deeply nested"),
        pytest.param(None, b"[]", 400, "malformed", id="no object"),
        pytest.param(None, b'{"data": {}}', 400, "malformed", id="no task"),
        pytest.param(None, b" " * 1_100_000, 413, "body_too_large", id="over the cap"),
    ],
)
def test_a_wrong_callback_is_refused(api: Api, token: str | None, body: bytes, status: int, code: str) -> None:
    token = token or Tokens("retouch", SECRET).sign(Attempt(str(api.accept()["id"]), 1))
    assert code_of(api.client.post(f"/v1/callbacks/qubico/{token}", content=body)) == (status, code)


def test_a_token_of_the_previous_secret_is_still_ours(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_SECRET_KEY="another-secret-of-thirty-two-bytes", RETOUCH_SECRET_KEY_PREVIOUS=SECRET)
    token = Tokens("retouch", SECRET).sign(Attempt(new_id(), 1))
    assert api.client.post(f"/v1/callbacks/qubico/{token}", json=CALLBACK).status_code == 200
