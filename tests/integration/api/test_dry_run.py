"""`?dry_run=true`: what an edit would be and cost, with every fault it would have, and nothing kept."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import redis as redis_sync

from tests.integration.api.conftest import Api
from tests.integration.api.progress import Progress, png
from tests.integration.api.test_accept import BODY, data_uri, jpeg_on_its_side, objects_in

DRY = {"dry_run": "true"}
JSON = {"Content-Type": "application/json"}
PRIVATE = {"image": "http://10.0.0.1/a"}


def dry(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.client.post("/v1/edits", params=DRY, json=BODY | fields)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def test_it_shows_what_would_be_accepted_and_its_price(api: Api) -> None:
    assert dry(api, width=640, height=384, external_id="mine", metadata={"a": "b"}, priority="bulk") == {
        "dry_run": True, "livemode": False, "external_id": "mine", "priority": "bulk", "metadata": {"a": "b"},
        "input": {
            "prompt": BODY["prompt"], "image": BODY["image"], "width": 640, "height": 384, "steps": 28, "seed": -1
        },
        "queue": {"position": 1, "eta_seconds": None},
        "cost": {"units": 200_000, "usd": "0.02", "state": "reserved"},
    }  # fmt: skip


def kept(redis: redis_sync.Redis) -> list[bytes]:
    """All names but that of the clock, which every process looks at once a second."""
    return [name for name in redis.scan_iter() if name != b"retouch:tick"]


def test_nothing_is_kept(api: Api, redis_url: str) -> None:
    headers = {"Idempotency-Key": "order-1"}
    with redis_sync.Redis.from_url(redis_url) as redis:
        before = sorted(kept(redis))
        for image in (BODY["image"], data_uri(png())):
            answer = api.client.post("/v1/edits", params=DRY, json=BODY | {"image": image}, headers=headers)
            assert answer.status_code == 200, answer.text
        assert sorted(kept(redis)) == before
    assert objects_in(api) == []
    assert api.client.get("/v1/edits").json()["data"] == []
    assert api.client.post("/v1/edits", json=BODY, headers=headers).status_code == 202


def test_a_picture_is_looked_through_and_never_echoed(api: Api) -> None:
    shown = dry(api, image=data_uri(jpeg_on_its_side(), "image/jpeg"))["input"]
    assert (shown["image"], shown["width"], shown["height"]) == (None, 304, 400)
    files = {"image": ("a.png", png(1024, 1024))}
    answer = api.client.post("/v1/edits", params=DRY, data={"prompt": "snow"}, files=files)
    assert (answer.json()["input"]["image"], answer.json()["input"]["width"]) == (None, 1024)


EXPIRED = "http://e.com/a?AWSAccessKeyId=x&Expires=1000000000&Signature=x"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        pytest.param({"json": BODY | {"steps": 0}}, 422, "invalid", id="invalid"),
        pytest.param({"content": b"{", "headers": JSON}, 400, "malformed", id="malformed"),
        pytest.param({"data": BODY}, 415, "unsupported_type", id="type"),
        pytest.param({"json": BODY | {"image": data_uri(png()[:-40])}}, 422, "image_unreadable", id="unreadable"),
        pytest.param({"json": BODY | {"image": data_uri(b"BM" * 40)}}, 415, "unsupported_type", id="no picture"),
        pytest.param({"json": BODY | {"image": data_uri(b"x" * 70_000)}}, 413, "image_too_large", id="too large"),
        pytest.param({"json": BODY | {"image": data_uri(png())}}, 422, "input_unreachable", id="unreachable upload"),
        pytest.param({"json": BODY | PRIVATE}, 422, "input_unreachable", id="unreachable address"),
        pytest.param({"json": BODY | {"image": EXPIRED}}, 422, "invalid", id="expired"),
        pytest.param({"json": BODY | PRIVATE | {"image_fetch": "copy"}}, 422, "input_unreachable", id="copy"),
    ],
)  # fmt: skip
def test_its_faults_are_those_of_the_real_thing(
    start_api: Callable[..., Api], sent: dict[str, Any], status: int, code: str
) -> None:
    api = start_api(RETOUCH_EDITS__MAX_INPUT_BYTES="64KiB", RETOUCH_QUBICO__BASE_URL="https://api.qubico.ai")
    tried, done = (api.client.post("/v1/edits", params=params, **sent) for params in (DRY, {}))
    assert (tried.status_code, tried.json()["code"]) == (status, code), tried.text
    assert {"request_id": "", **done.json()} | {"request_id": ""} == tried.json() | {"request_id": ""}
    assert objects_in(api) == []


def test_a_full_queue_is_told(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_EDITS__MAX_QUEUED="1")
    assert api.client.post("/v1/edits", params=DRY, json=BODY).status_code == 200
    api.accept()
    answer = api.client.post("/v1/edits", params=DRY, json=BODY)
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")
    assert int(answer.headers["retry-after"]) >= 1


def test_a_key_that_was_used_is_told(api: Api) -> None:
    headers = {"Idempotency-Key": "order-1"}
    edit = api.client.post("/v1/edits", json=BODY, headers=headers).json()
    answer = api.client.post("/v1/edits", params=DRY, json=BODY | {"steps": 3}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    answer = api.client.post("/v1/edits", params=DRY, json=BODY, headers=headers)
    assert answer.json()["cost"] == edit["cost"]


async def test_the_place_in_the_queue_follows_the_priority(api: Api, client: httpx.AsyncClient) -> None:
    for priority in ("standard", "standard", "bulk"):
        await client.post("/v1/edits", json=BODY | {"priority": priority})
    places = []
    for priority in ("interactive", "standard", "bulk"):
        answer = await client.post("/v1/edits", params=DRY, json=BODY | {"priority": priority})
        places.append(answer.json()["queue"]["position"])
    assert places == [1, 3, 4]


async def test_the_time_is_told_once_it_is_known(
    start_api: Callable[..., Api], redis_url: str, progress: Progress, client: httpx.AsyncClient
) -> None:
    waits = {"wait:provider_run:10000": 20, "wait:provider_run:sum": 160_000, "wait:copy:1000": 20}
    with redis_sync.Redis.from_url(redis_url) as redis:
        redis.hset("retouch:stats", mapping=waits)
    eta = (await client.post("/v1/edits", params=DRY, json=BODY)).json()["queue"]["eta_seconds"]
    assert eta == {"p50": 9, "p90": 11}  # half of 5 to 10 s and of 0.5 to 1 s; nine tenths of both
    for _ in range(10):  # 20 in flight for 8 s each are 2.5 a second
        await client.post("/v1/edits", json=BODY)
    eta = (await client.post("/v1/edits", params=DRY, json=BODY)).json()["queue"]["eta_seconds"]
    assert eta == {"p50": 13, "p90": 15}
    await progress.block("no credit")
    assert (await client.post("/v1/edits", params=DRY, json=BODY)).json()["queue"]["eta_seconds"] is None
