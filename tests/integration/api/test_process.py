"""The API as the field starts it: `uvicorn api.app:app`."""

import contextlib
import json
import os
import signal
import socket
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
from tests.parts.stack import eventually
from tests.parts.valkey import free_port

ROOT = Path(__file__).parents[3]


def uvicorn(folder: Path, *options: str, module: str = "uvicorn", **changes: str) -> "subprocess.Popen[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RETOUCH_")}
    environ |= {
        "PYTHONPATH": str(ROOT),
        "RETOUCH_DATA_DIR": str(folder),
        "RETOUCH_LOG__FORMAT": "json",
        "RETOUCH_LOG__LEVEL": "debug",
    } | changes
    command = [sys.executable, "-m", module, "api.app:app", *options]
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def url(tmp_path: Path, redis_url: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    with serving(tmp_path, redis_url) as served:
        yield served


@pytest.fixture
def ours(
    request: pytest.FixtureRequest, tmp_path: Path, redis_url: str
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """As `retouch api` starts it."""
    options = ("--http", "api.server:Protocol", "--ws", "none", "--timeout-graceful-shutdown")
    grace = getattr(request, "param", "9")
    with serving(tmp_path, redis_url, *options, grace, module="cli.local.serving") as served:
        yield served


@contextlib.contextmanager
def serving(
    folder: Path, redis_url: str, *options: str, module: str = "uvicorn"
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    port = str(free_port())
    process = uvicorn(
        folder, "--port", port, "--log-level", "warning", *options, module=module, RETOUCH_SHUTDOWN_GRACE="2s",
        RETOUCH_REDIS_URL=redis_url, RETOUCH_SECRET_KEY=SECRET, RETOUCH_API__ADMIN_KEY=KEY, RETOUCH_API__PORT=port,
        RETOUCH_QUBICO__BASE_URL="http://127.0.0.1:9", RETOUCH_QUBICO__API_KEY="sandbox-key",
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 90
    while True:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{address}/healthz", timeout=90, trust_env=False)
            break
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    yield address, process
    process.kill()
    process.communicate(timeout=90)


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
    _, written = process.communicate(timeout=90)
    assert process.returncode == 2
    assert said in written
    assert "Traceback" not in written


def test_whoever_waits_is_answered_when_it_is_told_to_end(url: tuple[str, "subprocess.Popen[str]"]) -> None:
    address, process = url
    headers = {"Authorization": f"Bearer {KEY}", "Prefer": "wait=50"}
    with (
        httpx.Client(base_url=address, headers=headers, timeout=90, trust_env=False) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(lambda: client.post("/v1/edits", json=BODY))
        until = time.monotonic() + 90
        while not client.get("/v1/edits").json()["data"]:
            assert time.monotonic() < until
        process.send_signal(signal.SIGTERM)
        answer = waiting.result(90)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    _, written = process.communicate(timeout=90)
    assert process.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in written


def test_who_keeps_a_connection_is_answered_over_it_when_the_process_ends(
    ours: tuple[str, "subprocess.Popen[str]"],
) -> None:
    address, process = ours
    with httpx.Client(base_url=address, headers={"X-API-Key": KEY}, timeout=90, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        process.send_signal(signal.SIGTERM)
        eventually(lambda: refused(address), "new connections are refused")
        answer = client.post("/v1/edits", json=BODY)
        assert (answer.status_code, answer.headers["connection"]) == (202, "close")
        with pytest.raises(httpx.ConnectError):
            client.get("/healthz")
    assert process.wait(90) == 0


def test_an_ending_process_says_so_to_who_is_connected_and_an_idle_connection_does_not_hold_it(
    ours: tuple[str, "subprocess.Popen[str]"],
) -> None:
    address, process = ours
    with (
        httpx.Client(base_url=address, headers={"X-API-Key": KEY}, timeout=90, trust_env=False) as asks,
        httpx.Client(base_url=address, timeout=90, trust_env=False) as idles,
    ):
        assert {client.get("/healthz").status_code for client in (asks, idles)} == {200}
        process.send_signal(signal.SIGTERM)
        eventually(lambda: refused(address), "new connections are refused")
        answer = asks.get("/readyz?verbose")
        assert (answer.status_code, answer.json()["parts"]["process"]["status"]) == (503, "down")
        assert answer.json()["parts"]["process"]["detail"].startswith("draining")
        assert process.wait(90) == 0


def test_a_body_that_is_still_on_its_way_when_the_process_ends_is_told_so(
    ours: tuple[str, "subprocess.Popen[str]"],
) -> None:
    address, process = ours
    told = b""
    with socket.create_connection(address.removeprefix("http://").split(":"), timeout=90) as connection:
        head = f"POST /v1/edits HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 100000\r\n\r\n{{".encode())
        process.send_signal(signal.SIGTERM)
        connection.settimeout(0.2)
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                told += connection.recv(65536)
            if b"}" in told:
                break
            if not told:
                connection.sendall(b" ")
    head, _, body = told.partition(b"\r\n\r\n")
    assert b" 503 " in head.splitlines()[0]
    assert b"retry-after" in head.lower()
    assert (json.loads(body)["code"], json.loads(body)["retryable"]) == ("draining", True)
    assert process.wait(90) == 0


@pytest.mark.parametrize("ours", ["900"], indirect=True)
def test_a_second_signal_hurries(ours: tuple[str, "subprocess.Popen[str]"]) -> None:
    address, process = ours
    with socket.create_connection(address.removeprefix("http://").split(":"), timeout=90) as connection:
        connection.sendall(f"POST /v1/edits HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n".encode())
        connection.sendall(b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        process.send_signal(signal.SIGTERM)
        eventually(lambda: refused(address), "new connections are refused")
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0  # alone it would take a quarter of an hour


def refused(address: str) -> bool:
    """A connection that waits to be accepted as the listener closes is reset; only the next one is refused."""
    try:
        with contextlib.suppress(httpx.ReadError, httpx.RemoteProtocolError):
            httpx.get(f"{address}/healthz", timeout=90, trust_env=False)
    except httpx.ConnectError:
        return True
    return False


def test_what_nobody_foresaw_is_unavailable_and_logged_under_its_request_id(
    url: tuple[str, "subprocess.Popen[str]"], redis_url: str
) -> None:
    address, process = url
    with httpx.Client(
        base_url=address, headers={"X-API-Key": KEY, "Request-Id": "mine"}, timeout=90, trust_env=False
    ) as client:
        edit_id = client.post("/v1/edits", json=BODY).json()["id"]
        with redis_sync.Redis.from_url(redis_url) as redis:
            redis.hset(f"retouch:e:{edit_id}", "st", "a status from the future")
        answer = client.get(f"/v1/edits/{edit_id}")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["request-id"] == answer.json()["request_id"] == "mine"
    assert "future" not in answer.text
    process.send_signal(signal.SIGTERM)
    _, written = process.communicate(timeout=90)
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    (broken,) = [line for line in lines if line["event"] == "request.broke"]
    assert (broken["request_id"], broken["error"]) == ("mine", "ValidationError")
    accepted = next(line for line in lines if line["event"] == "edit.accepted")
    assert (accepted["edit_id"], accepted["request_id"]) == (edit_id, "mine")
    assert BODY["prompt"] not in written
