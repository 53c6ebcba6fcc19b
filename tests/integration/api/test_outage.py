"""With Redis away every call is answered within two seconds, and nothing is lost or invented."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from edits.attempts import Attempt, Tokens
from edits.models import new_id
from tests.integration.api.conftest import SECRET, Api, serving, settings_for
from tests.integration.api.progress import png
from tests.integration.api.test_accept import BODY, data_uri, objects_in
from tests.parts.valkey import free_port, server_binary, start_server

TOKEN = Tokens("retouch", SECRET).sign(Attempt(new_id(), 1))
CALLS = [
    ("POST", "/v1/edits", BODY), ("POST", "/v1/edits", BODY | {"image": data_uri(png())}), ("GET", "/v1/edits", None),
    ("GET", "/v1/edits?external_id=x", None), ("GET", f"/v1/edits/{new_id()}", None),
    ("GET", f"/v1/edits/{new_id()}/timeline", None), ("GET", f"/v1/edits/{new_id()}/result", None),
    ("POST", f"/v1/edits/{new_id()}/cancel", None), ("POST", f"/v1/edits/{new_id()}/retry", None),
    ("POST", f"/v1/callbacks/qubico/{TOKEN}", {"task_id": "task-1"}), ("GET", "/metrics", None),
]  # fmt: skip


class Valkey:
    """A server of this test's own, to be stopped, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return start_server(server_binary(), self._folder, self.port)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(90)

    def start(self) -> None:
        self.process = self._start()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey")
    yield server
    server.stop()


@pytest.fixture
def alone(own_patience: None, valkey: Valkey, tmp_path: Path) -> Iterator[Api]:
    settings = settings_for(f"redis://127.0.0.1:{valkey.port}/0", tmp_path / "var", free_port())
    with serving(settings) as api:
        yield api


def timed(ask: Callable[[], httpx.Response]) -> httpx.Response:
    begun = time.monotonic()
    answer = ask()
    assert time.monotonic() - begun < 12  # 2 where nothing else runs; redis-py's own patience is 15
    return answer


def assert_unavailable(api: Api) -> None:
    """Asked all at once: one that waits for Redis must not hold up another."""

    def ask(method: str, path: str, body: object) -> None:
        answer = timed(lambda: api.client.request(method, path, json=body))
        assert answer.status_code == 503, (method, path, answer.text)
        assert answer.json()["code"] in {"unavailable", "accept_unknown"}, (method, path)
        assert int(answer.headers["retry-after"]) >= 1

    with ThreadPoolExecutor(len(CALLS)) as asking:
        for asked in [asking.submit(ask, *call) for call in CALLS]:
            asked.result()
    assert objects_in(api) == []
    ready = timed(lambda: api.client.get("/readyz?verbose"))
    assert (ready.status_code, ready.json()["status"], ready.json()["parts"]["redis"]["status"]) == (
        503,
        "down",
        "down",
    )
    assert timed(lambda: api.client.get("/healthz")).status_code == 200
    assert timed(lambda: api.client.get("/metrics?scope=process")).status_code == 200


def test_redis_that_is_gone_is_said_at_once_and_comes_back(valkey: Valkey, alone: Api) -> None:
    edit_id = alone.accept()["id"]
    valkey.stop()
    assert_unavailable(alone)
    valkey.start()
    assert alone.client.get("/readyz").status_code == 200
    assert alone.client.get(f"/v1/edits/{edit_id}").json()["status"] == "queued"


def test_redis_that_hangs_is_given_up_in_time(valkey: Valkey, alone: Api) -> None:
    key = {"Idempotency-Key": "order-1"}
    alone.accept()
    valkey.process.send_signal(signal.SIGSTOP)
    try:
        answer = timed(lambda: alone.client.post("/v1/edits", json=BODY, headers=key))
        assert (answer.status_code, answer.json()["code"]) == (503, "accept_unknown")
        assert_unavailable(alone)
    finally:
        valkey.process.send_signal(signal.SIGCONT)
    # Whatever became of the first request, the key tells: afterwards there is exactly one edit of it.
    first = alone.client.post("/v1/edits", json=BODY, headers=key)
    again = alone.client.post("/v1/edits", json=BODY, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"


def test_who_waits_is_shown_the_last_known_state_when_redis_goes(valkey: Valkey, alone: Api) -> None:
    with ThreadPoolExecutor(1) as asking:
        headers = {"Prefer": "wait=50"}
        waiting = asking.submit(lambda: alone.client.post("/v1/edits", json=BODY, headers=headers))
        until = time.monotonic() + 90
        while not alone.client.get("/v1/edits").json()["data"]:
            assert time.monotonic() < until
        valkey.stop()
        answer = waiting.result(90)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


def test_the_api_starts_without_redis_and_is_ready_once_it_is_there(
    own_patience: None, valkey: Valkey, tmp_path: Path
) -> None:
    valkey.stop()
    with serving(settings_for(f"redis://127.0.0.1:{valkey.port}/0", tmp_path / "var", free_port())) as api:
        assert api.client.get("/readyz").status_code == 503
        valkey.start()
        assert api.client.get("/readyz").status_code == 200
        api.accept()


@pytest.mark.parametrize(
    ("broken", "call"),
    [
        pytest.param("pipeline", ("POST", "/v1/edits?dry_run=true", BODY), id="estimate"),
        pytest.param("get", ("POST", "/v1/edits", BODY | {"image_fetch": "copy"}), id="replay"),
        pytest.param("info", ("POST", "/v1/edits", BODY), id="memory"),
    ],
)
def test_an_error_of_our_own_is_not_called_an_outage_of_redis(
    start_api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch, broken: str, call: tuple[str, str, object]
) -> None:
    api = start_api()

    def breaks(*_asked: object, **_options: object) -> None:
        raise RuntimeError("a fault in this program")

    monkeypatch.setattr(api.app.state.parts.repository.redis, broken, breaks)
    method, path, body = call
    answer = api.client.request(method, path, json=body, headers={"Idempotency-Key": "order-1"})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.json()["detail"] == "Internal error. Search the logs for this Request-Id."
