import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from edits.storage.links import Links
from tests.integration.api.conftest import KEY, SECRET, Api
from tests.integration.api.progress import Progress, png, progress_of
from tests.integration.api.test_accept import data_uri

DATA = png(200, 100)
SIZE = len(DATA)
ETAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(DATA).digest()).decode()}:"


@pytest.fixture
async def result(api: Api, progress: Progress) -> str:
    """The path of a result."""
    api.accept()
    return f"/v1/edits/{await progress.succeeded(DATA)}/result"


def test_the_result_comes_with_what_is_needed_to_keep_and_check_it(api: Api, result: str) -> None:
    answer = api.client.get(result)
    assert (answer.status_code, answer.content) == (200, DATA)
    expected = {
        "content-type": "image/png", "content-length": str(SIZE), "etag": ETAG, "repr-digest": DIGEST,
        "cache-control": "private", "accept-ranges": "bytes", "x-content-type-options": "nosniff",
        "content-disposition": 'inline; filename="result.png"',
    }  # fmt: skip
    assert {name: answer.headers[name] for name in expected} == expected
    head = api.client.head(result)
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        pytest.param("bytes=0-0", 0, 1, id="first byte"),
        pytest.param("bytes=10-19", 10, 20, id="some"),
        pytest.param("bytes=10-", 10, SIZE, id="from a byte on"),
        pytest.param("bytes=-10", SIZE - 10, SIZE, id="the last ones"),
        pytest.param(f"bytes=-{SIZE * 2}", 0, SIZE, id="more last ones than there are"),
        pytest.param(f"bytes=10-{SIZE * 2}", 10, SIZE, id="beyond the end"),
    ],
)
def test_a_range_is_sent_as_206(api: Api, result: str, asked: str, start: int, end: int) -> None:
    for method in ("GET", "HEAD"):
        answer = api.client.request(method, result, headers={"Range": asked})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
        assert answer.headers["content-length"] == str(end - start)
        assert answer.headers["repr-digest"] == DIGEST
        assert answer.content == (DATA[start:end] if method == "GET" else b"")


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
def test_a_range_that_is_not_there_is_416(api: Api, result: str, asked: str) -> None:
    answer = api.client.get(result, headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=0-1", "bytes=5-1", "bytes=-", "nonsense"])
def test_a_range_that_we_do_not_serve_gives_the_whole(api: Api, result: str, asked: str) -> None:
    answer = api.client.get(result, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, DATA)


def test_a_range_of_another_version_gives_the_whole(api: Api, result: str) -> None:
    for mark, status in ((ETAG, 206), ('"other"', 200)):
        headers = {"Range": "bytes=0-1", "If-Range": mark}
        assert api.client.get(result, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("sent", "status"),
    [(ETAG, 304), (f"W/{ETAG}", 304), (f'"other", {ETAG}', 304), ("*", 304), ('"other"', 200)],
)
def test_what_the_client_has_is_not_sent_again(api: Api, result: str, sent: str, status: int) -> None:
    answer = api.client.get(result, headers={"If-None-Match": sent})
    assert answer.status_code == status
    assert answer.headers["etag"] == ETAG
    assert answer.content == (DATA if status == 200 else b"")


def test_the_address_of_the_result_is_told_on_request(api: Api, result: str, public_client: httpx.Client) -> None:
    told = api.client.get(result, params={"redirect": "false"}).json()
    assert told.keys() == {"url", "expires_at"}
    assert datetime.fromisoformat(told["expires_at"]) > datetime.now(UTC)
    answer = public_client.get(told["url"])
    assert (answer.content, answer.headers["content-type"]) == (DATA, "image/png")
    assert public_client.get(told["url"], headers={"Range": "bytes=0-9"}).content == DATA[:10]
    assert public_client.head(told["url"]).headers["content-length"] == str(SIZE)


def test_a_result_that_is_not_there_says_why(api: Api) -> None:
    edit_id = api.accept()["id"]
    answer = api.client.get(f"/v1/edits/{edit_id}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_finished")
    api.client.post(f"/v1/edits/{edit_id}/cancel")
    answer = api.client.get(f"/v1/edits/{edit_id}/result")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_succeeded")


def test_a_result_whose_file_was_removed_is_gone(api: Api, result: str) -> None:
    for stored in api.objects.rglob("result.png"):
        stored.unlink()
    answer = api.client.get(result)
    assert (answer.status_code, answer.json()["code"]) == (410, "gone")


def test_a_picture_given_as_an_address_is_not_kept(api: Api) -> None:
    answer = api.client.get(f"/v1/edits/{api.accept()['id']}/input")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_an_upload_is_served_like_a_result(api: Api) -> None:
    path = f"/v1/edits/{api.accept(image=data_uri(DATA))['id']}/input"
    answer = api.client.get(path)
    assert answer.content == DATA
    assert api.client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert api.client.get(path, headers={"Range": "bytes=1-3"}).content == DATA[1:4]


def test_a_signed_link_is_believed_until_it_expires(api: Api, public_client: httpx.Client) -> None:
    api.accept(image=data_uri(DATA))
    (stored,) = api.objects.rglob("input.png")
    key = str(stored.relative_to(api.objects))
    now = datetime.now(UTC)
    links = Links(SECRET)
    good = links.sign(key, expires_at=now + timedelta(minutes=1))
    expired = links.sign(key, expires_at=now - timedelta(seconds=2))
    forged = Links("another-secret-of-thirty-two-bytes").sign(key, expires_at=now + timedelta(minutes=1))
    missing = links.sign(key.replace("input.png", "other.png"), expires_at=now + timedelta(minutes=1))
    assert public_client.get(f"/v1/objects/{good}/input.png").content == DATA
    for token, name, status, code in [
        (expired, "input.png", 410, "gone"),
        (missing, "other.png", 410, "gone"),
        (forged, "input.png", 404, "not_found"),
        (good, "other.png", 404, "not_found"),
        (good[:-1], "input.png", 404, "not_found"),
        ("nonsense", "input.png", 404, "not_found"),
    ]:
        answer = public_client.get(f"/v1/objects/{token}/{name}")
        assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.fixture
async def on_s3(
    start_api: Callable[..., Api], s3_url: str, s3_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[Api, str]:
    """An API whose pictures are on S3, and the path of a result."""
    for name, value in s3_env.items():
        monkeypatch.setenv(name, value)
    api = start_api(RETOUCH_STORAGE_URL=s3_url)
    api.accept()
    async with progress_of(api.settings) as progress:
        return api, f"/v1/edits/{await progress.succeeded(DATA)}/result"


def test_a_bearer_is_sent_to_a_fresh_address_on_s3(on_s3: tuple[Api, str]) -> None:
    api, result = on_s3
    answer = api.client.get(result)
    assert answer.status_code == 307
    assert answer.headers["cache-control"] == "private, no-store"
    assert not answer.headers["location"].startswith(api.url)
    assert httpx.get(answer.headers["location"], timeout=90, trust_env=False).content == DATA
    assert api.client.get(result, params={"redirect": "false"}).json()["url"].startswith("http")


def test_a_key_in_x_api_key_never_travels_to_another_host(on_s3: tuple[Api, str]) -> None:
    api, result = on_s3
    with httpx.Client(base_url=api.url, headers={"X-API-Key": KEY}, timeout=90, trust_env=False) as client:
        answer = client.get(result)
        assert (answer.status_code, answer.content) == (200, DATA)
        assert answer.headers["repr-digest"] == DIGEST
        assert client.get(result, headers={"Range": "bytes=2-5"}).content == DATA[2:6]
    head = api.client.head(result)
    assert (head.status_code, head.headers["content-length"]) == (200, str(SIZE))


def test_an_upload_goes_to_s3_and_back(on_s3: tuple[Api, str]) -> None:
    api, _ = on_s3
    edit = api.accept(image=data_uri(DATA))
    answer = api.client.get(edit["input"]["image"], follow_redirects=True)  # type: ignore[index]  # JSON of the answer
    assert answer.content == DATA


async def test_a_link_to_which_a_mail_program_added_its_parameters_still_opens(
    api: Api, client: httpx.AsyncClient, progress: Progress
) -> None:
    api.accept()
    data = png()
    edit_id = await progress.succeeded(data)
    link = (await client.get(f"/v1/edits/{edit_id}")).json()["result"]["download_url"]
    async with httpx.AsyncClient(timeout=90, trust_env=False) as stranger:
        for added in ("?utm_source=mail&utm_medium=e%20mail", "?fbclid=IwAR0", "?redirect=false", "?x", "?%ff", "#x"):
            assert (await stranger.get(link + added)).content == data
            assert (await stranger.head(link + added)).status_code == 200
        spoilt = await stranger.get(f"{link[:-5]}?utm_source=mail")
    assert (spoilt.status_code, spoilt.json()["code"]) == (404, "not_found")
