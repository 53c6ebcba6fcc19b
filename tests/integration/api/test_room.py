"""A full queue refuses: early, cheaply, by every way in, with a time to come back and never an edit that is there."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import redis as redis_sync

from tests.integration.api.conftest import KEY, Api
from tests.integration.api.test_accept import BODY, data_uri, objects_in, png

FULL = [
    pytest.param({"RETOUCH_EDITS__MAX_QUEUED": "1"}, 503, "queue_full", id="in all"),
    pytest.param({"RETOUCH_EDITS__MAX_QUEUED_PER_TENANT": "1"}, 429, "tenant_queue_full", id="of a tenant"),
    pytest.param({"RETOUCH_REDIS_MAX_MEMORY_USED": "1KiB"}, 503, "queue_full", id="memory"),
]


@contextlib.contextmanager
def full(redis_url: str) -> Iterator[None]:
    """Redis at its own limit."""
    with redis_sync.Redis.from_url(redis_url) as redis:
        redis.config_set("maxmemory", 1)
        try:
            yield
        finally:
            redis.config_set("maxmemory", 0)


def ways() -> list[tuple[str, dict[str, Any]]]:
    fields = {"prompt": BODY["prompt"]}
    large = png(200, 200)
    return [
        ("an address", {"json": BODY}),
        ("a data URI", {"json": BODY | {"image": data_uri(large)}}),
        ("a form", {"data": fields, "files": {"image": ("a.png", large)}}),
        ("a copy", {"json": BODY | {"image": "http://127.0.0.1:9/a.png", "image_fetch": "copy"}}),
    ]


def check(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["retryable"] is True
    assert 1 <= int(answer.headers["retry-after"]) <= 300


@pytest.mark.parametrize(("setting", "status", "code"), FULL)
@pytest.mark.parametrize("params", [{}, {"dry_run": "true"}], ids=["real", "dry"])
def test_every_way_in_is_refused_and_nothing_is_kept(
    start_api: Callable[..., Api], setting: dict[str, str], status: int, code: str, params: dict[str, str]
) -> None:
    api = start_api(**setting)
    if "MEMORY" not in str(setting):
        api.accept()
    for name, sent in ways():
        if name == "a copy" and params:
            continue  # it would be fetched first, to see what is wrong with it
        check(api.client.post("/v1/edits", params=params, **sent), status, code)
    assert objects_in(api) == []
    text = api.client.get("/metrics").text
    if not params:
        assert f'retouch_edits_refused_total{{code="{code}"}} 4.0' in text
    limit = "redis_memory" if "MEMORY" in str(setting) else "max_queued"
    assert f'retouch_limit_used_ratio{{limit="{limit}"}}' in text
    room = api.client.get("/readyz", params={"verbose": ""}).json()["parts"]["room"]
    assert room["status"] == "degraded"
    assert "Try again later" in room["detail"]


@pytest.mark.parametrize(("setting", "status", "code"), FULL[:2])
def test_an_edit_that_is_there_is_shown_by_its_key(
    start_api: Callable[..., Api], setting: dict[str, str], status: int, code: str
) -> None:
    api = start_api(**setting)
    headers = {"Idempotency-Key": "order-1"}
    body = BODY | {"image": data_uri(png(200, 200))}
    first = api.client.post("/v1/edits", json=body, headers=headers)
    assert first.status_code == 202, first.text
    again = api.client.post("/v1/edits", json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    check(api.client.post("/v1/edits", json=body), status, code)


def test_a_large_body_is_refused_before_it_is_sent(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_EDITS__MAX_QUEUED="1")
    api.accept()
    head = (
        f"POST /v1/edits HTTP/1.1\r\nHost: retouch\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
        "Content-Length: 5000000\r\n\r\n{"
    )
    with socket.create_connection((api.settings.api.host, api.settings.api.port), timeout=90) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 503 ")


def test_at_the_memory_limit_of_redis_itself_edits_are_refused(api: Api, redis_url: str) -> None:
    with full(redis_url):
        for _, sent in ways()[:3]:
            check(api.client.post("/v1/edits", **sent), 503, "queue_full")
    assert objects_in(api) == []
