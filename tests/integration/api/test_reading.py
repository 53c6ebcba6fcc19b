from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from ulid import ULID

from edits.models import ErrorKind, new_id
from tests.integration.api.conftest import Api
from tests.integration.api.progress import Progress, png


def ids_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [edit["id"] for edit in answer.json()["data"]]


async def test_a_succeeded_edit_has_its_result_and_a_fresh_link(
    api: Api, client: httpx.AsyncClient, progress: Progress
) -> None:
    api.accept()
    data = png()
    edit_id = await progress.succeeded(data)
    edit = (await client.get(f"/v1/edits/{edit_id}")).json()
    assert edit["status"] == "succeeded"
    assert edit["finished_at"].endswith("Z")
    assert edit["waiting"] is None
    assert edit["cost"]["state"] == "charged"
    assert edit["provider"]["tasks_bought"] == 1
    result = edit["result"]
    assert result["url"] == f"{api.url}/v1/edits/{edit_id}/result"
    assert (result["bytes"], result["content_type"], result["width"], result["height"]) == (
        len(data),
        "image/png",
        64,
        48,
    )
    expires_at = datetime.fromisoformat(result["download_expires_at"])
    assert timedelta() < expires_at - datetime.now(UTC) <= timedelta(hours=1)
    async with httpx.AsyncClient(timeout=90, trust_env=False) as without_a_key:
        assert (await without_a_key.get(result["download_url"])).content == data
    listed = (await client.get("/v1/edits")).json()["data"][0]["result"]
    assert listed == result | {"download_url": None, "download_expires_at": None}


async def test_a_failed_edit_says_why(api: Api, client: httpx.AsyncClient, progress: Progress) -> None:
    edit_id = api.accept()["id"]
    await progress.failed(ErrorKind.MODERATED)
    edit = (await client.get(f"/v1/edits/{edit_id}")).json()
    assert edit["status"] == "failed"
    assert edit["error"] == {
        "kind": "moderated", "message": "refused for its content", "retryable": True, "provider_code": 400
    }  # fmt: skip
    assert edit["cost"]["state"] == "released"
    assert edit["provider"] is None


async def test_an_unfinished_edit_says_when_to_ask_again(
    client: httpx.AsyncClient, api: Api, progress: Progress
) -> None:
    edit_id = api.accept()["id"]
    answer = await client.get(f"/v1/edits/{edit_id}")
    assert int(answer.headers["retry-after"]) >= 1
    await progress.failed()
    assert "retry-after" not in (await client.get(f"/v1/edits/{edit_id}")).headers


async def test_the_timeline_names_its_waits_and_adds_up(
    client: httpx.AsyncClient, api: Api, progress: Progress
) -> None:
    edit_id = api.accept()["id"]
    await progress.succeeded(png())
    events = (await client.get(f"/v1/edits/{edit_id}/timeline")).json()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {"seq", "at", "type", "wait", "duration_ms", "data"} == events[0].keys()
    assert events[0]["type"] == "accepted"
    assert events[-1]["type"] == "succeeded"
    assert all(event["wait"] for event in events[1:])
    whole = datetime.fromisoformat(events[-1]["at"]) - datetime.fromisoformat(events[0]["at"])
    assert sum(event["duration_ms"] for event in events) == whole / timedelta(milliseconds=1)


@pytest.mark.parametrize("path", ["", "/timeline", "/result", "/input"])
@pytest.mark.parametrize(
    ("edit_id", "status", "code"),
    [
        pytest.param(new_id(), 404, "not_found", id="never was"),
        pytest.param("edit_123", 404, "not_found", id="no id"),
        pytest.param("..%2f..%2fetc", 404, "not_found", id="a path"),
        pytest.param(
            f"edit_{ULID.from_datetime(datetime(2024, 1, 1, tzinfo=UTC))}", 410, "gone", id="retention is over"
        ),
    ],
)
def test_what_is_not_there_is_not_found_or_gone(api: Api, edit_id: str, path: str, status: int, code: str) -> None:
    answer = api.client.get(f"/v1/edits/{edit_id}{path}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_edit_that_has_left_redis_is_read_from_its_manifest(
    api: Api, client: httpx.AsyncClient, progress: Progress
) -> None:
    api.accept()
    data = png()
    edit_id = await progress.succeeded(data)
    before = (await client.get(f"/v1/edits/{edit_id}")).json()
    events = (await client.get(f"/v1/edits/{edit_id}/timeline")).json()
    await progress.leave_redis(edit_id)
    after = (await client.get(f"/v1/edits/{edit_id}")).json()
    for shown in (before, after):
        del shown["result"]["download_url"], shown["result"]["download_expires_at"]
    assert after == before
    assert (await client.get(f"/v1/edits/{edit_id}/timeline")).json() == events
    assert (await client.get(f"/v1/edits/{edit_id}/result")).content == data


def test_the_list_is_newest_first_and_goes_on_by_its_cursor(api: Api) -> None:
    accepted = [api.accept()["id"] for _ in range(5)]
    seen, cursor = [], None
    for expected in (2, 2, 1):
        page = api.client.get("/v1/edits", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        assert len(ids_of(page)) == expected
        seen += ids_of(page)
        cursor = page.json()["next_cursor"]
    assert cursor is None
    assert seen == sorted(accepted, reverse=True)


async def test_the_list_is_filtered(client: httpx.AsyncClient, api: Api, progress: Progress) -> None:
    first = api.accept(external_id="a")["id"]
    await progress.failed()
    second = api.accept(external_id="b")["id"]
    api.client.post(f"/v1/edits/{second}/cancel")
    third, fourth = api.accept(external_id="a")["id"], api.accept()["id"]

    async def listed(**filters: object) -> list[str]:
        return ids_of(await client.get("/v1/edits", params=filters))

    assert await listed(status="failed") == [first]
    assert await listed(status="failed,canceled") == [second, first]
    assert await listed(status=["queued", "canceled"]) == [fourth, third, second]
    assert await listed(external_id="a") == [third, first]
    assert await listed(external_id="a", status="queued") == [third]
    assert await listed(external_id="nobody's") == []
    assert await listed(ids=f"{first},{fourth},{new_id()},nonsense") == [fourth, first]
    assert await listed(ids=f"{first},{fourth}", status="failed") == [first]


def test_the_list_is_filtered_by_time(api: Api) -> None:
    edits = [api.accept() for _ in range(3)]
    middle = edits[1]["created_at"]

    def listed(**filters: object) -> list[str]:
        return ids_of(api.client.get("/v1/edits", params=filters))  # type: ignore[arg-type]  # a table

    assert edits[1]["id"] not in listed(created_after=middle) + listed(created_before=middle)
    assert edits[2]["id"] in listed(created_after=middle)
    assert edits[0]["id"] in listed(created_before=middle)
    assert listed(created_after="2999-01-01T00:00:00Z") == []
    assert listed(created_before="2001-01-01T00:00:00+02:00") == []
    assert len(listed(created_after="0001-01-01T00:00:00Z", created_before="9999-12-31T23:59:59Z")) == 3


async def test_filtered_pages_cover_everything_once(client: httpx.AsyncClient, api: Api, progress: Progress) -> None:
    failed = []
    for n in range(6):
        edit_id = api.accept(external_id="x")["id"]
        if n % 2:
            api.client.post(f"/v1/edits/{edit_id}/cancel")
        else:
            await progress.failed()
            failed.append(edit_id)
    for filters in ({"status": "failed"}, {"status": "failed", "external_id": "x"}):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await client.get("/v1/edits", params=filters | {"limit": 1} | ({"cursor": cursor} if cursor else {}))
            seen += ids_of(page)
            cursor = page.json()["next_cursor"]
            if cursor is None:
                break
        assert seen == failed[::-1]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "status=done", "created_after=yesterday", "created_after=2026-01-01T00:00:00",
     "state=queued", "external_id=", f"external_id={'x' * 129}", "ids=" + ",".join(["x"] * 201)],
)  # fmt: skip
def test_a_wrong_filter_is_refused_by_name(api: Api, query: str) -> None:
    answer = api.client.get(f"/v1/edits?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"][0]["pointer"] == f"query:{query.partition('=')[0]}"


def test_a_cursor_is_believed_only_where_it_was_made(api: Api, start_api: Callable[..., Api]) -> None:
    for _ in range(2):
        api.accept()
    cursor = api.client.get("/v1/edits?limit=1").json()["next_cursor"]
    other = start_api(RETOUCH_SECRET_KEY="another-secret-of-thirty-two-bytes")
    for client, params in [
        (api.client, {"cursor": cursor + "A"}),
        (api.client, {"cursor": "edit_01J"}),
        (api.client, {"cursor": ""}),
        (api.client, {"cursor": cursor, "status": "queued"}),
        (other.client, {"cursor": cursor}),
    ]:
        answer = client.get("/v1/edits", params=params)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")
    rotated = start_api(
        RETOUCH_SECRET_KEY="another-secret-of-thirty-two-bytes",
        RETOUCH_SECRET_KEY_PREVIOUS=api.settings.secret_key.get_secret_value(),  # type: ignore[union-attr]  # it is set
    )
    assert rotated.client.get("/v1/edits", params={"cursor": cursor}).status_code == 200
