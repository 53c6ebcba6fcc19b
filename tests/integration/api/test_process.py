"""The API as the field starts it: `uvicorn api.app:app`."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import redis as redis_sync

from tests.integration.api.conftest import KEY, SECRET
from tests.integration.api.test_accept import BODY
from tests.parts.valkey import free_port

ROOT = Path(__file__).parents[3]


def uvicorn(folder: Path, *options: str, **changes: str) -> "subprocess.Popen[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RETOUCH_")}
    environ |= {
        "PYTHONPATH": str(ROOT),
        "RETOUCH_DATA_DIR": str(folder),
        "RETOUCH_LOG__FORMAT": "json",
        "RETOUCH_LOG__LEVEL": "debug",
    } | changes
    command = [sys.executable, "-m", "uvicorn", "api.app:app", *options]
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def url(tmp_path: Path, redis_url: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    port = str(free_port())
    process = uvicorn(
        tmp_path, "--port", port, "--log-level", "warning",
        RETOUCH_REDIS_URL=redis_url, RETOUCH_SECRET_KEY=SECRET, RETOUCH_API__ADMIN_KEY=KEY, RETOUCH_API__PORT=port,
        RETOUCH_QUBICO__BASE_URL="http://127.0.0.1:9", RETOUCH_QUBICO__API_KEY="sandbox-key",
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 20
    while True:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{address}/healthz", trust_env=False)
            break
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    yield address, process
    process.kill()
    process.communicate(timeout=10)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, "RETOUCH_REDIS_URL", id="nothing is set and no `up` runs"),
        pytest.param({"RETOUCH_COLOUR": "red"}, "RETOUCH_COLOUR", id="unknown name"),
        pytest.param({"RETOUCH_API__PORT": "often"}, "RETOUCH_API__PORT", id="bad value"),
        pytest.param({"RETOUCH_REDIS_URL": "redis://127.0.0.1:9/0"}, "RETOUCH_SECRET_KEY", id="no secret"),
    ],
)
def test_bad_settings_end_it_with_their_message_alone(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    process = uvicorn(tmp_path, **changes)
    _, written = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said in written
    assert "Traceback" not in written


def test_whoever_waits_is_answered_when_it_is_told_to_end(url: tuple[str, "subprocess.Popen[str]"]) -> None:
    address, process = url
    headers = {"Authorization": f"Bearer {KEY}", "Prefer": "wait=50"}
    with (
        httpx.Client(base_url=address, headers=headers, timeout=60, trust_env=False) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(lambda: client.post("/v1/edits", json=BODY))
        until = time.monotonic() + 10
        while not client.get("/v1/edits").json()["data"]:
            assert time.monotonic() < until
        process.send_signal(signal.SIGTERM)
        answer = waiting.result(10)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    _, written = process.communicate(timeout=10)
    assert process.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in written


def test_what_nobody_foresaw_is_unavailable_and_logged_under_its_request_id(
    url: tuple[str, "subprocess.Popen[str]"], redis_url: str
) -> None:
    address, process = url
    with httpx.Client(base_url=address, headers={"X-API-Key": KEY, "Request-Id": "mine"}, trust_env=False) as client:
        edit_id = client.post("/v1/edits", json=BODY).json()["id"]
        with redis_sync.Redis.from_url(redis_url) as redis:
            redis.hset(f"retouch:e:{edit_id}", "st", "a status from the future")
        answer = client.get(f"/v1/edits/{edit_id}")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["request-id"] == answer.json()["request_id"] == "mine"
    assert "future" not in answer.text
    process.send_signal(signal.SIGTERM)
    _, written = process.communicate(timeout=10)
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    (broken,) = [line for line in lines if line["event"] == "request.broke"]
    assert (broken["request_id"], broken["error"]) == ("mine", "ValidationError")
    accepted = next(line for line in lines if line["event"] == "edit.accepted")
    assert (accepted["edit_id"], accepted["request_id"]) == (edit_id, "mine")
    assert BODY["prompt"] not in written
