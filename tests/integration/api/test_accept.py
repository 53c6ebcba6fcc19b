import asyncio
import base64
import io
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from api import body
from tests.integration.api.conftest import KEY, Api
from tests.integration.api.progress import Progress, png

BODY = {"prompt": "make the sky stormy", "image": "http://example.com/house.jpg"}


def data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def jpeg_on_its_side() -> bytes:
    """400 by 300 pixels that are to be shown as 300 by 400."""
    written = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 300), "red").save(written, "JPEG", exif=exif)
    return written.getvalue()


def objects_in(api: Api) -> list[Path]:
    return [found for found in api.objects.rglob("*") if found.is_file()]


def test_an_edit_is_accepted_and_shown_with_every_key(api: Api) -> None:
    answer = api.client.post("/v1/edits", json=BODY | {"external_id": "mine", "metadata": {"a": "b"}})
    edit = answer.json()
    link = f"{api.url}/v1/edits/{edit['id']}"
    assert answer.status_code == 202
    assert answer.headers["location"] == link
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["retry-after"]) >= 1
    assert 0 <= edit["input"].pop("seed") < 2**31
    assert edit.pop("created_at") == edit.pop("updated_at") == edit["waiting"].pop("since")
    assert edit == {
        "id": edit["id"], "status": "queued", "livemode": False, "tenant": "default", "external_id": "mine",
        "priority": "standard", "attempt": 1, "finished_at": None,
        "input": {"prompt": BODY["prompt"], "image": BODY["image"], "width": None, "height": None, "steps": 28},
        "waiting": {"for": "fair_share"}, "queue": None, "provider": None, "result": None, "error": None,
        "cost": {"units": 200_000, "usd": "0.02", "state": "reserved"}, "batch_id": None, "metadata": {"a": "b"},
        "links": {"self": link, "result": f"{link}/result", "timeline": f"{link}/timeline", "cancel": f"{link}/cancel"},
    }  # fmt: skip
    looked_at = api.client.get(link).json()
    assert looked_at["created_at"].endswith("Z")
    assert looked_at["id"] == edit["id"]


def test_what_was_asked_for_is_what_is_shown(api: Api) -> None:
    asked = {"prompt": "  add snow\n", "width": 640, "height": 384, "steps": 12, "seed": 7, "priority": "interactive"}
    edit = api.accept(**asked)
    assert edit["input"] == {
        "prompt": "add snow", "image": BODY["image"], "width": 640, "height": 384, "steps": 12, "seed": 7
    }  # fmt: skip
    assert edit["priority"] == "interactive"


def test_each_edit_without_a_seed_draws_its_own(api: Api) -> None:
    seeds = {api.accept()["input"]["seed"] for _ in range(4)}  # type: ignore[index]  # JSON of the answer
    assert len(seeds) > 1


BIG = 100 * 1024


def chunked(size: int) -> Iterator[bytes]:
    for _ in range(size // 65_536):
        yield b" " * 65_536


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        pytest.param({"content": b"{"}, 400, "malformed", id="broken JSON"),
        pytest.param({"content": b""}, 400, "malformed", id="empty body"),
        pytest.param({"json": BODY | {"steps": "28"}}, 422, "invalid", id="number in quotes"),
        pytest.param({"json": BODY | {"webhook": {}}}, 422, "invalid", id="unknown field"),
        pytest.param({"json": BODY, "headers": {"Idempotency-Key": "x" * 256}}, 422, "invalid", id="long key"),
        pytest.param({"data": BODY}, 415, "unsupported_type", id="form"),
        pytest.param(
            {"content": json.dumps(BODY), "headers": {"Content-Type": ""}}, 415, "unsupported_type", id="no type"
        ),
        pytest.param({"content": b" " * 400_000}, 413, "body_too_large", id="announced length over the cap"),
        pytest.param({"content": lambda: chunked(1_000_000)}, 413, "body_too_large", id="chunked over the cap"),
        pytest.param(
            {"json": BODY | {"image": data_uri(b"x" * BIG)}}, 413, "image_too_large", id="picture over the cap"
        ),
        pytest.param({"json": BODY | {"image": data_uri(b"GIF89a", "image/gif")}}, 415, "unsupported_type", id="gif"),
        pytest.param(
            {"json": BODY | {"image": data_uri(b"GIF89a" + b"\0" * 60)}}, 415, "unsupported_type", id="gif as png"
        ),
        pytest.param({"json": BODY | {"image": data_uri(png()[:-40])}}, 422, "image_unreadable", id="cut picture"),
        pytest.param({"json": BODY | {"image": "data:image/png;base64,%%%"}}, 422, "image_unreadable", id="no base64"),
        pytest.param({"json": BODY | {"image": "data:image/png,abc"}}, 422, "image_unreadable", id="not in base64"),
    ],
)
def test_a_wrong_request_is_refused_by_name_and_leaves_nothing(
    start_api: Callable[..., Api], sent: dict[str, object], status: int, code: str
) -> None:
    api = start_api(RETOUCH_EDITS__MAX_INPUT_BYTES="64KiB")
    headers = {"Content-Type": "application/json"} if "content" in sent else {}
    headers |= sent.pop("headers", {})  # type: ignore[arg-type]  # a table of keyword arguments
    content = sent.get("content")
    if callable(content):
        sent = sent | {"content": content()}
    answer = api.client.post("/v1/edits", headers=headers, **sent)  # type: ignore[arg-type]  # as above
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["request-id"] == answer.json()["request_id"]
    assert api.client.get("/v1/edits").json()["data"] == []
    assert objects_in(api) == []


def test_the_connection_survives_a_body_over_the_cap(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_EDITS__MAX_INPUT_BYTES="64KiB")
    for _ in range(2):
        headers = {"Content-Type": "application/json"}
        assert api.client.post("/v1/edits", content=chunked(3_000_000), headers=headers).status_code == 413
    assert api.client.get("/healthz").status_code == 200


def test_a_body_that_stops_coming_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "STALLED", 0.2)
    head = f"POST /v1/edits HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", api.settings.api.port), timeout=90) as sender:
        sender.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        received = b"".join(iter(lambda: sender.recv(65_536), b""))
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"malformed"' in received


def test_refusals_point_at_the_field(api: Api) -> None:
    answer = api.client.post("/v1/edits", json=BODY | {"width": 512, "image": data_uri(b"nothing")})
    assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == [("/height", "required")]
    answer = api.client.post("/v1/edits", json=BODY | {"image": data_uri(b"nothing")})
    assert answer.json()["errors"][0]["pointer"] == "/image"
    answer = api.client.post("/v1/edits?dry_run=perhaps", json=BODY)
    assert answer.json()["errors"][0]["pointer"] == "query:dry_run"
    answer = api.client.post("/v1/edits?dryrun=true", json=BODY)
    assert answer.json()["errors"][0]["pointer"] == "query:dryrun"


@pytest.mark.parametrize(
    ("data", "name", "kind", "size"),
    [
        pytest.param(png(64, 48), "input.png", "image/png", (168, 128), id="small: enlarged to the shortest side"),
        pytest.param(png(1024, 1024), "input.png", "image/png", (1024, 1024), id="allowed as it is"),
    ],
)
def test_an_upload_is_kept_and_shown_as_a_link(
    api: Api, data: bytes, name: str, kind: str, size: tuple[int, int]
) -> None:
    edit = api.accept(image=data_uri(data, kind))
    shown = edit["input"]
    assert shown["image"] == f"{api.url}/v1/edits/{edit['id']}/input"  # type: ignore[index]  # JSON of the answer
    assert (shown["width"], shown["height"]) == size  # type: ignore[index]  # as above
    (stored,) = objects_in(api)
    assert stored.name == name
    assert stored.parent.name == edit["id"]
    fetched = api.client.get(shown["image"])  # type: ignore[index]  # as above
    assert fetched.content == data
    assert fetched.headers["content-type"] == kind


def test_a_picture_on_its_side_is_kept_upright(api: Api) -> None:
    edit = api.accept(image=data_uri(jpeg_on_its_side(), "image/jpeg"))
    shown = edit["input"]
    assert (shown["width"], shown["height"]) == (304, 400)  # type: ignore[index]  # JSON of the answer
    fetched = api.client.get(shown["image"])  # type: ignore[index]  # as above
    with Image.open(io.BytesIO(fetched.content)) as kept:
        assert (kept.size, kept.format, dict(kept.getexif())) == ((300, 400), "JPEG", {})


def test_an_upload_may_ask_for_another_size(api: Api) -> None:
    edit = api.accept(image=data_uri(png()), width=512, height=256)
    assert (edit["input"]["width"], edit["input"]["height"]) == (512, 256)  # type: ignore[index]  # JSON of the answer


@pytest.mark.parametrize("image", [data_uri(png()), "http://192.168.1.7/house.jpg"], ids=["upload", "address"])
def test_what_a_provider_on_the_internet_cannot_fetch_is_refused(start_api: Callable[..., Api], image: str) -> None:
    api = start_api(RETOUCH_QUBICO__BASE_URL="https://api.qubico.ai")
    answer = api.client.post("/v1/edits", json=BODY | {"image": image})
    assert (answer.status_code, answer.json()["code"]) == (422, "input_unreachable")
    assert objects_in(api) == []
    assert api.client.post("/v1/edits", json=BODY).json()["livemode"] is True


def test_the_same_key_and_body_give_the_same_edit(api: Api) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first = api.client.post("/v1/edits", json=BODY, headers=headers)
    assert "idempotent-replayed" not in first.headers
    written_otherwise = json.dumps({"steps": 28, "seed": -1, "image": BODY["image"], "prompt": " make the sky stormy "})
    headers = {"Idempotency-Key": '"order-1"', "Content-Type": "application/json"}
    again = api.client.post("/v1/edits", content=written_otherwise, headers=headers)
    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["input"]["seed"] == first.json()["input"]["seed"]


def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    headers = {"Idempotency-Key": "order-1"}
    api.client.post("/v1/edits", json=BODY, headers=headers)
    for change in ({"steps": 20}, {"external_id": "x"}, {"image": data_uri(png())}):
        answer = api.client.post("/v1/edits", json=BODY | change, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert objects_in(api) == []


def test_a_refused_request_does_not_fix_its_key(api: Api) -> None:
    headers = {"Idempotency-Key": "order-1"}
    assert api.client.post("/v1/edits", json=BODY | {"steps": 0}, headers=headers).status_code == 422
    assert api.client.post("/v1/edits", json=BODY, headers=headers).status_code == 202


def test_a_repeated_upload_is_one_edit_with_one_picture(api: Api) -> None:
    headers = {"Idempotency-Key": "order-1"}
    ids = {
        api.client.post("/v1/edits", json=BODY | {"image": data_uri(data)}, headers=headers).json()["id"]
        for data in [png()] * 3
    }
    assert len(ids) == 1
    assert len(objects_in(api)) == 1


async def test_a_replay_shows_the_edit_as_it_is_now(api: Api, client: httpx.AsyncClient, progress: Progress) -> None:
    headers = {"Idempotency-Key": "order-1"}
    await client.post("/v1/edits", json=BODY, headers=headers)
    await progress.processing("task-7")
    answer = await client.post("/v1/edits", json=BODY, headers=headers)
    assert answer.json()["provider"] == {
        "task_id": "task-7", "status": "pending", "tasks_bought": 1, "other_task_ids": [],
    }  # fmt: skip
    assert answer.json()["status"] == "processing"


@pytest.mark.parametrize("image", [BODY["image"], data_uri(png())], ids=["address", "upload"])
async def test_the_same_key_many_times_at_once_is_one_edit(api: Api, client: httpx.AsyncClient, image: str) -> None:
    headers = {"Idempotency-Key": "order-1"}
    asking = [client.post("/v1/edits", json=BODY | {"image": image}, headers=headers) for _ in range(12)]
    answers = await asyncio.gather(*asking)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len((await client.get("/v1/edits")).json()["data"]) == 1
    assert len(objects_in(api)) == (0 if image == BODY["image"] else 1)


def test_a_full_queue_refuses_and_says_when_to_come_back(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_EDITS__MAX_QUEUED="1")
    api.accept()
    for image in (BODY["image"], data_uri(png())):
        answer = api.client.post("/v1/edits", json=BODY | {"image": image})
        assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")
        assert answer.json()["retryable"] is True
        assert int(answer.headers["retry-after"]) >= 1
    assert objects_in(api) == []


def test_the_largest_picture_fits_in_lines_of_76(api: Api) -> None:
    """10 MiB of no picture: a refusal of its type shows that the whole body was read."""
    text = base64.encodebytes(bytes(10 * 1024 * 1024)).decode().replace("\n", "\r\n")
    answer = api.client.post("/v1/edits", json=BODY | {"image": f"data:image/png;name=house.png;base64,{text}"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_type")


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
def test_an_address_is_shown_without_the_spaces_around_it(api: Api, form: bool) -> None:
    sent = BODY | {"image": f"  {BODY['image']}\r\n"}
    body = {"files": {name: (None, str(value)) for name, value in sent.items()}} if form else {"json": sent}
    answer = api.client.post("/v1/edits", **body)
    assert answer.status_code == 202, answer.text
    assert answer.json()["input"]["image"] == BODY["image"]
