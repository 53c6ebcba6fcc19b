"""`Prefer: wait`: many calls may wait for an end, and are answered at once."""

import asyncio
import time

import httpx

from tests.integration.api.conftest import Api
from tests.integration.api.progress import Progress, png
from tests.integration.api.test_accept import BODY

WAIT = {"Prefer": "wait=55"}


async def listening(client: httpx.AsyncClient) -> None:
    for _ in range(9000):
        parts = (await client.get("/readyz?verbose")).json()["parts"]
        if parts["process"]["status"] == "ok":
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the API did not begin to listen for ends")


async def queued(client: httpx.AsyncClient, count: int) -> list[str]:
    for _ in range(9000):
        edits = (await client.get("/v1/edits?status=queued")).json()["data"]
        if len(edits) == count:
            return [edit["id"] for edit in edits]
        await asyncio.sleep(0.01)
    raise AssertionError(f"there were never {count} queued edits")


async def test_who_waits_gets_the_ended_edit(client: httpx.AsyncClient, progress: Progress) -> None:
    await listening(client)
    posted = asyncio.create_task(client.post("/v1/edits", json=BODY, headers=WAIT))
    (edit_id,) = await queued(client, 1)
    asked = [asyncio.create_task(client.get(f"/v1/edits/{edit_id}", headers=WAIT)) for _ in range(20)]
    await progress.succeeded(png())
    begun = time.monotonic()
    answers = await asyncio.gather(posted, *asked)
    assert time.monotonic() - begun < 40  # not for all of the time
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["status"] for answer in answers} == {"succeeded"}
    assert {answer.headers["preference-applied"] for answer in answers} == {"wait=55"}
    assert answers[0].json()["result"]["download_url"]
    assert "retry-after" not in answers[0].headers


async def test_a_failed_or_canceled_end_is_an_end(client: httpx.AsyncClient, progress: Progress) -> None:
    for end in ("failed", "canceled"):
        posted = asyncio.create_task(client.post("/v1/edits", json=BODY, headers=WAIT))
        (edit_id,) = await queued(client, 1)
        if end == "failed":
            await progress.failed()
        else:
            await client.post(f"/v1/edits/{edit_id}/cancel")
        answer = await posted
        assert (answer.status_code, answer.json()["status"]) == (200, end)


async def test_after_the_time_the_edit_is_shown_as_it_stands(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/edits", json=BODY, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["preference-applied"] == "wait=1"
    answer = await client.get(answer.headers["location"], headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert int(answer.headers["retry-after"]) >= 1


async def test_what_happened_while_somebody_waited_is_shown(client: httpx.AsyncClient, progress: Progress) -> None:
    posted = asyncio.create_task(client.post("/v1/edits", json=BODY, headers={"Prefer": "wait=2"}))
    await queued(client, 1)
    await progress.processing()
    answer = await posted
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")


async def test_without_the_preference_nobody_waits(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/edits", json=BODY)
    assert "preference-applied" not in answer.headers


async def test_a_replay_may_wait_too(client: httpx.AsyncClient, progress: Progress) -> None:
    key = {"Idempotency-Key": "order-1"}
    await client.post("/v1/edits", json=BODY, headers=key)
    await progress.failed()
    answer = await client.post("/v1/edits", json=BODY, headers=key | WAIT)
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert answer.headers["idempotent-replayed"] == "true"
    assert (await client.post("/v1/edits", json=BODY, headers=key)).status_code == 202


async def test_an_end_is_noticed_although_the_subscription_was_cut(
    api: Api, client: httpx.AsyncClient, progress: Progress
) -> None:
    await listening(client)
    posted = asyncio.create_task(client.post("/v1/edits", json=BODY, headers=WAIT))
    await queued(client, 1)
    await progress.repository.redis.client_kill_filter(_type="pubsub", skipme=False)
    await progress.failed()
    assert (await posted).json()["status"] == "failed"
    await listening(client)
