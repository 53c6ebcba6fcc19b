"""Ids are read in any letter case and shown in capitals."""

import httpx
import pytest

from tests.integration.api.conftest import Api
from tests.integration.api.progress import Progress, png


@pytest.mark.parametrize("written", [str.lower, str.upper, str.swapcase, str.title])
async def test_every_call_reads_an_id_in_any_letter_case(
    api: Api, client: httpx.AsyncClient, progress: Progress, written: "type[str]"
) -> None:
    edit_id = str(api.accept()["id"])
    await progress.failed()
    sent = written(edit_id)
    assert (await client.get(f"/v1/edits/{sent}")).json()["id"] == edit_id
    assert (await client.get(f"/v1/edits/{sent}/timeline")).status_code == 200
    assert edit_id in (await client.get(f"/v1/edits/{sent}/result")).json()["detail"]
    assert [edit["id"] for edit in (await client.get(f"/v1/edits?ids={sent}")).json()["data"]] == [edit_id]
    retried = await client.post(f"/v1/edits/{sent}/retry")
    assert (retried.status_code, retried.json()["id"]) == (202, edit_id)
    assert retried.headers["location"].endswith(f"/v1/edits/{edit_id}")
    assert (await client.post(f"/v1/edits/{sent}/cancel")).json()["id"] == edit_id


async def test_so_do_the_pictures_and_what_has_left_redis(
    api: Api, client: httpx.AsyncClient, progress: Progress
) -> None:
    uploaded = await client.post("/v1/edits", data={"prompt": "snow"}, files={"image": ("a.png", png())})
    data = png()
    edit_id = await progress.succeeded(data)
    assert edit_id == uploaded.json()["id"]
    sent = edit_id.lower()
    for leave in (False, True):
        if leave:
            await progress.leave_redis(edit_id)
        assert (await client.get(f"/v1/edits/{sent}")).json()["id"] == edit_id
        assert (await client.get(f"/v1/edits/{sent}/result")).content == data
        assert (await client.get(f"/v1/edits/{sent}/input")).status_code == 200


async def test_the_pages_of_a_list_by_ids_go_on_whatever_their_case(api: Api, client: httpx.AsyncClient) -> None:
    accepted = [str(api.accept()["id"]) for _ in range(3)]
    query = {"ids": ",".join(edit_id.lower() for edit_id in accepted), "limit": "2"}
    first = (await client.get("/v1/edits", params=query)).json()
    query |= {"ids": ",".join(accepted), "cursor": first["next_cursor"]}
    rest = (await client.get("/v1/edits", params=query)).json()
    assert [edit["id"] for edit in first["data"] + rest["data"]] == accepted[::-1]


@pytest.mark.parametrize("path", ["", "/timeline", "/result", "/input"])
def test_an_id_of_a_year_that_no_calendar_has_is_not_found(api: Api, path: str) -> None:
    answer = api.client.get(f"/v1/edits/edit_7ZZZZZZZZZZZZZZZZZZZZZZZZZ{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
