"""Another tenant's edits: accepted through the service, and for every call with our key as if they did not exist."""

import httpx
import pytest

from edits import errors
from edits.attempts import Tokens
from edits.db.admission import Admission
from edits.intake import NewEdit
from edits.listing import Filters
from edits.models import Edit, new_id
from edits.principal import OPERATOR, Principal, Scope
from edits.service import EditService
from edits.storage.links import Links
from tests.integration.api.conftest import SECRET, Api
from tests.integration.api.progress import Progress, png

OTHER = Principal(tenant="acme", scopes=frozenset({Scope.SUBMIT, Scope.READ}), key_id="key_1")
CALLS = [
    ("GET", ""), ("GET", "/timeline"), ("POST", "/cancel"), ("POST", "/retry"), ("GET", "/result"), ("HEAD", "/result"),
    ("GET", "/result?redirect=false"), ("GET", "/input"),
]  # fmt: skip


@pytest.fixture
async def service(api: Api, progress: Progress) -> EditService:
    """The same use cases as the API's, on the same Redis and storage."""
    repository = progress.repository
    admission = Admission(repository.redis, max_queued=99, max_of_tenant=99, memory=api.settings.redis_max_memory_used)
    return EditService(
        repository, progress.storage, Links(SECRET), Tokens("retouch", SECRET), api.settings, admission=admission
    )


def new(*, image: str | bytes = "http://example.com/house.jpg", **fields: object) -> NewEdit:
    return NewEdit(prompt="make the sky stormy", image=image, **fields)


async def brought_to(state: str, service: EditService, progress: Progress) -> Edit:
    edit = (await service.accept(OTHER, new(image=png()))).edit
    if state == "failed":
        await progress.failed()
    elif state != "queued":
        await progress.succeeded(png())
    if state == "left":
        await progress.leave_redis(edit.id)
    return edit


@pytest.mark.parametrize("state", ["queued", "failed", "succeeded", "left"])
async def test_an_edit_of_another_tenant_is_answered_like_an_unknown_one(
    client: httpx.AsyncClient, service: EditService, progress: Progress, state: str
) -> None:
    theirs = await brought_to(state, service, progress)
    unknown = new_id()
    for method, path in CALLS:
        texts = []
        for edit_id in (theirs.id, unknown):
            answer = await client.request(method, f"/v1/edits/{edit_id}{path}")
            assert answer.status_code == 404, path
            texts.append(answer.text.replace(edit_id, "ID").replace(answer.headers["request-id"], ""))
        assert texts[0] == texts[1], path
    assert (await service.get(OTHER, theirs.id)).status == ("succeeded" if state == "left" else state)
    assert await service.timeline(OTHER, theirs.id)


async def test_a_list_holds_the_edits_of_its_tenant_alone(
    client: httpx.AsyncClient, api: Api, service: EditService
) -> None:
    ours, theirs = [], []
    for _ in range(3):
        ours.append(str(api.accept(external_id="order 17")["id"]))
        theirs.append((await service.accept(OTHER, new(external_id="order 17"))).edit.id)
    for query in ("", "external_id=order+17", f"ids={','.join(ours + theirs)}", "status=queued"):
        seen, cursor = [], ""
        while True:
            page = (await client.get(f"/v1/edits?limit=2&{query}{cursor}")).json()
            seen += [edit["id"] for edit in page["data"]]
            if page["next_cursor"] is None:
                break
            assert len(page["data"]) == 2, "an edit of another tenant was counted in a page"
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == ours[::-1], query
    listed = await service.page(OTHER, Filters(), limit=10)
    assert [edit.id for edit in listed.edits] == theirs[::-1]


async def test_a_cursor_is_of_its_tenant(client: httpx.AsyncClient, service: EditService) -> None:
    for _ in range(2):
        await service.accept(OTHER, new())
    cursor = (await service.page(OTHER, Filters(), limit=1)).next_cursor
    answer = await client.get("/v1/edits", params={"limit": 1, "cursor": cursor or ""})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


async def test_two_tenants_may_use_the_same_idempotency_key(client: httpx.AsyncClient, service: EditService) -> None:
    theirs = (await service.accept(OTHER, new(), idempotency_key="order-1")).edit
    body = {"prompt": "another one", "image": "http://example.com/house.jpg"}
    for replayed in (None, "true"):
        answer = await client.post("/v1/edits", json=body, headers={"Idempotency-Key": "order-1"})
        assert (answer.status_code, answer.headers.get("idempotent-replayed")) == (202, replayed)
        assert answer.json()["id"] != theirs.id
        assert answer.json()["tenant"] == "default"
    again = await service.accept(OTHER, new(), idempotency_key="order-1")
    assert (again.edit.id, again.replayed, again.edit.tenant) == (theirs.id, True, "acme")


async def test_ours_are_not_theirs_either(api: Api, service: EditService) -> None:
    ours = str(api.accept()["id"])
    with pytest.raises(errors.NotFound):
        await service.cancel(OTHER, ours)
    assert (await service.cancel(OPERATOR, ours)).status == "canceled"
