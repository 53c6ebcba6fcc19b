"""Edits that left Redis: readable as before, bounded in lists, and too late to change."""

from datetime import UTC, datetime, timedelta

import httpx

from tests.integration.api.conftest import Api
from tests.integration.api.progress import Progress, png

BODY = {"prompt": "make the sky stormy", "image": "http://example.com/house.jpg"}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_replayed_key_is_answered_from_the_manifest(
    client: httpx.AsyncClient, api: Api, progress: Progress
) -> None:
    key = {"Idempotency-Key": "order-4711"}
    accepted = (await client.post("/v1/edits", json=BODY, headers=key)).json()
    await progress.failed()
    before = (await client.get(f"/v1/edits/{accepted['id']}")).json()
    await progress.leave_redis(accepted["id"])
    answer = await client.post("/v1/edits", json=BODY, headers=key)
    assert (answer.status_code, answer.json()) == (202, before)
    assert answer.headers["idempotent-replayed"] == "true"
    waited = await client.post("/v1/edits", json=BODY, headers=key | {"Prefer": "wait"})
    assert (waited.status_code, waited.json()) == (200, before)
    other = await client.post("/v1/edits", json=BODY | {"prompt": "other"}, headers=key)
    assert code_of(other) == (422, "idempotency_key_reused")
    assert (await client.get("/v1/edits")).json()["data"] == []


async def test_a_replayed_key_whose_manifest_is_gone_accepts_nothing_new(
    client: httpx.AsyncClient, api: Api, progress: Progress
) -> None:
    key = {"Idempotency-Key": "order-4711"}
    edit_id = (await client.post("/v1/edits", json=BODY, headers=key)).json()["id"]
    await progress.failed()
    await progress.leave_redis(edit_id)
    (manifest,) = api.objects.rglob("manifest.json")
    manifest.unlink()
    assert code_of(await client.post("/v1/edits", json=BODY, headers=key)) == (404, "not_found")
    assert (await client.get("/v1/edits")).json()["data"] == []


async def test_what_has_left_is_too_late_to_be_tried_again_or_canceled(
    client: httpx.AsyncClient, api: Api, progress: Progress
) -> None:
    failed = str(api.accept()["id"])
    await progress.failed()
    api.accept()
    succeeded = await progress.succeeded(png())
    canceled = str(api.accept()["id"])
    assert (await client.post(f"/v1/edits/{canceled}/cancel")).status_code == 200
    await progress.leave_redis(failed, succeeded, canceled)
    for edit_id in (failed, succeeded, canceled):
        assert code_of(await client.post(f"/v1/edits/{edit_id}/retry")) == (409, "too_late")
    for edit_id in (failed, succeeded):
        assert code_of(await client.post(f"/v1/edits/{edit_id}/cancel")) == (409, "too_late")
    again = await client.post(f"/v1/edits/{canceled}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "canceled")
    assert code_of(await client.get(f"/v1/edits/{failed}/result")) == (409, "not_succeeded")


async def test_the_list_shows_who_is_in_redis_and_since_when_it_is_whole(
    client: httpx.AsyncClient, api: Api, progress: Progress
) -> None:
    left = str(api.accept(external_id="order 17")["id"])
    await progress.failed()
    here = str(api.accept(external_id="order 17")["id"])
    await progress.leave_redis(left)
    for query in ("", "?external_id=order+17", f"?ids={left},{here}"):
        answer = (await client.get(f"/v1/edits{query}")).json()
        assert [edit["id"] for edit in answer["data"]] == [here]
        since = datetime.fromisoformat(answer["window"]["from"])
        assert abs(datetime.now(UTC) - api.settings.edits.hot - since) < timedelta(minutes=1)
    assert (await client.get(f"/v1/edits/{left}")).status_code == 200
