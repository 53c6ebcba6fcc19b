"""`image_fetch: copy`, and signed addresses that end: the picture is fetched at once, or must be reachable in time."""

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from edits.intake import FETCHED_WITHIN
from tests.integration.api.conftest import Api, progress_of
from tests.integration.api.progress import Progress, png
from tests.integration.api.test_accept import BODY, jpeg_on_its_side, objects_in


class Host:
    """Serves one picture, or nothing any more."""

    def __init__(self, port: int) -> None:
        self.place = f"127.0.0.1:{port}"
        self.data: bytes | None = png()
        self.asked = 0

    def url(self, query: str = "") -> str:
        return f"http://{self.place}/house.png{query}"


@pytest.fixture
def host() -> Iterator[Host]:
    class Serve(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.asked += 1
            self.send_response(200 if running.data is not None else 404)
            self.send_header("Content-Length", str(len(running.data or b"")))
            self.end_headers()
            self.wfile.write(running.data or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Serve) as server:
        running = Host(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield running
        server.shutdown()
        thread.join(90)


@pytest.fixture
def copying(start_api: Callable[..., Api], host: Host) -> Api:
    return start_api(RETOUCH_QUBICO__RESULT_HOSTS=host.place, RETOUCH_EDITS__MAX_INPUT_BYTES="64KiB")


def signed(ends: datetime) -> str:
    return f"?AWSAccessKeyId=x&Expires={int(ends.timestamp())}&Signature=x"


def now() -> datetime:
    return datetime.now(UTC)


def test_the_picture_is_fetched_and_kept_like_an_upload(copying: Api, host: Host) -> None:
    edit = copying.accept(image=host.url(), image_fetch="copy")
    shown = edit["input"]
    assert shown["image"] == f"{copying.url}/v1/edits/{edit['id']}/input"  # type: ignore[index]  # JSON of the answer
    assert (shown["width"], shown["height"]) == (168, 128)  # type: ignore[index]  # as above
    assert copying.client.get(shown["image"]).content == host.data  # type: ignore[index]  # as above
    assert host.asked == 1


def test_it_is_cleaned_like_an_upload(copying: Api, host: Host) -> None:
    host.data = jpeg_on_its_side()
    shown = copying.accept(image=host.url(), image_fetch="copy")["input"]
    assert (shown["width"], shown["height"]) == (304, 400)  # type: ignore[index]  # JSON of the answer


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        pytest.param(None, 422, "input_unreachable", id="not there"),
        pytest.param(b"", 422, "image_unreadable", id="empty"),
        pytest.param(png()[:-40], 422, "image_unreadable", id="cut"),
        pytest.param(b"<!doctype html><p>Sign in", 415, "unsupported_type", id="a page"),
        pytest.param(b"x" * 65_537, 413, "image_too_large", id="over the cap"),
    ],
)
def test_what_is_no_picture_is_refused(copying: Api, host: Host, data: bytes | None, status: int, code: str) -> None:
    host.data = data
    answer = copying.client.post("/v1/edits", json=BODY | {"image": host.url(), "image_fetch": "copy"})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["errors"][0]["pointer"] == "/image"
    assert host.place not in answer.text
    assert copying.client.get("/v1/edits").json()["data"] == []
    assert objects_in(copying) == []


def test_our_own_network_is_not_asked(api: Api, host: Host) -> None:
    for image in (host.url(), api.settings.public_url + "/healthz", "http://169.254.169.254/latest"):
        answer = api.client.post("/v1/edits", json=BODY | {"image": image, "image_fetch": "copy"})
        assert (answer.status_code, answer.json()["code"]) == (422, "input_unreachable")
    assert host.asked == 0


def test_a_repeated_copy_is_the_same_edit_though_the_picture_is_gone(copying: Api, host: Host) -> None:
    headers = {"Idempotency-Key": "order-1"}
    body = BODY | {"image": host.url(), "image_fetch": "copy"}
    first = copying.client.post("/v1/edits", json=body, headers=headers)
    host.data = None
    again = copying.client.post("/v1/edits", json=body, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert host.asked == 1
    passed_on = copying.client.post("/v1/edits", json=BODY | {"image": host.url()}, headers=headers)
    assert (passed_on.status_code, passed_on.json()["code"]) == (422, "idempotency_key_reused")


def test_an_address_that_has_expired_is_refused_by_name(api: Api) -> None:
    ended = now() - timedelta(seconds=1)
    for body in ({}, {"image_fetch": "copy"}):
        answer = api.client.post("/v1/edits", json=BODY | body | {"image": BODY["image"] + signed(ended)})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        (fault,) = answer.json()["errors"]
        assert (fault["pointer"], fault["code"]) == ("/image", "invalid")
        assert "expired" in fault["message"]


async def test_an_address_that_ends_before_the_submission_is_not_bought_for(
    api: Api, client: httpx.AsyncClient, progress: Progress
) -> None:
    image = BODY["image"] + signed(now() + timedelta(minutes=5))
    edit = (await client.post("/v1/edits", json=BODY | {"image": image})).json()
    assert edit["status"] == "queued"
    left = timedelta(minutes=5) - FETCHED_WITHIN + timedelta(seconds=1)
    await progress.repository.redis.set("retouch:clock", round(left.total_seconds() * 1000))
    with pytest.raises(ValueError, match="not enough values"):
        await progress.submitting()
    ended = (await client.get(f"/v1/edits/{edit['id']}")).json()
    assert (ended["status"], ended["error"]["kind"], ended["error"]["retryable"]) == ("failed", "expired", False)
    assert (ended["cost"]["state"], ended["provider"]) == ("released", None)


@pytest.mark.parametrize("life", [timedelta(minutes=5), timedelta(days=400)])
async def test_an_address_that_works_is_submitted(api: Api, progress: Progress, life: timedelta) -> None:
    edit = api.accept(image=BODY["image"] + signed(now() + life))
    assert (await progress.submitting()).id == edit["id"]


async def test_the_earlier_of_both_ends_holds(api: Api, progress: Progress) -> None:
    api.accept(image=BODY["image"] + signed(now() + timedelta(minutes=5)), expires_in=60)
    await progress.repository.redis.set("retouch:clock", 61_000)
    with pytest.raises(ValueError, match="not enough values"):
        await progress.submitting()


async def test_a_copy_needs_its_address_only_once(copying: Api, host: Host) -> None:
    edit = copying.accept(image=host.url(signed(now() + timedelta(minutes=5))), image_fetch="copy")
    async with progress_of(copying.settings) as progress:
        await progress.repository.redis.set("retouch:clock", 600_000)
        assert (await progress.submitting()).id == edit["id"]


def test_a_repeated_request_shows_its_edit_though_its_address_has_expired_since(api: Api) -> None:
    headers = {"Idempotency-Key": "order-1"}
    ends = now() + timedelta(seconds=1)
    body = BODY | {"image": BODY["image"] + signed(ends + timedelta(seconds=1))}
    first = api.client.post("/v1/edits", json=body, headers=headers)
    assert first.status_code == 202
    while now() < ends + timedelta(seconds=1):
        assert api.client.get(f"/v1/edits/{first.json()['id']}").status_code == 200
    again = api.client.post("/v1/edits", json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert api.client.post("/v1/edits", json=body).status_code == 422


def test_with_redis_away_nothing_is_fetched(start_api: Callable[..., Api], host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api = start_api(RETOUCH_REDIS_URL=f"redis://127.0.0.1:{port}/0", RETOUCH_QUBICO__RESULT_HOSTS=host.place)
    body = BODY | {"image": host.url(), "image_fetch": "copy"}
    for path in ("/v1/edits", "/v1/edits?dry_run=true"):
        answer = api.client.post(path, json=body, headers={"Idempotency-Key": "order-1"})
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.elapsed < timedelta(seconds=2)
    assert host.asked == 0
