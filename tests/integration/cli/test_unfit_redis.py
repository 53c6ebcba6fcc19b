"""A Redis that may throw edits away: no process starts on it, and one that runs says so."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis as redis_sync

from tests.integration.api.conftest import serving, settings_for
from tests.parts.stack import ROOT, environment, program
from tests.parts.valkey import free_port, server_binary, start_server

REASON = "maxmemory-policy allkeys-lru may throw accepted edits away: set it to noeviction"


@pytest.fixture
def unfit_port(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    process = start_server(server_binary(), tmp_path / "valkey", port, "--maxmemory-policy", "allkeys-lru")
    yield port
    process.terminate()
    process.wait(90)


def settings(port: int) -> dict[str, str]:
    return {
        "RETOUCH_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "RETOUCH_SECRET_KEY": "a-secret-of-thirty-two-bytes-or-more",
        "RETOUCH_API__ADMIN_KEY": "operators-key-for-tests",
        "RETOUCH_API__PORT": str(free_port()),
        "RETOUCH_METRICS__PORT": str(free_port()),
        "RETOUCH_QUBICO__BASE_URL": "http://127.0.0.1:9",
        "RETOUCH_QUBICO__API_KEY": "k",
    }


@pytest.mark.parametrize(("command", "processes"), [("api", "1"), ("worker", "1"), ("worker", "2"), ("up", "1")])
def test_no_process_starts_on_it(tmp_path: Path, unfit_port: int, command: str, processes: str) -> None:
    environ = environment(tmp_path, **settings(unfit_port), RETOUCH_WORKER__PROCESSES=processes)
    answer = program(command, folder=tmp_path, environ=environ)
    assert answer.returncode == 2, answer
    assert REASON in answer.stderr.decode()
    assert "Traceback" not in answer.stderr.decode()


def test_nor_on_one_in_which_another_program_holds_a_key_of_ours(tmp_path: Path, unfit_port: int) -> None:
    with redis_sync.Redis(port=unfit_port) as admin:
        admin.config_set("maxmemory-policy", "noeviction")
        admin.set("retouch:due:poll", "another program's")
    answer = program("worker", folder=tmp_path, environ=environment(tmp_path, **settings(unfit_port)))
    assert answer.returncode == 2, answer
    assert "retouch:due:poll holds a string of another program where our zset should be: " in answer.stderr.decode()
    assert "Traceback" not in answer.stderr.decode()


@pytest.mark.parametrize(
    "command",
    [
        ["celery", "-A", "workers.app", "worker", "--pool", "threads", "-Q", "poll"],
        ["uvicorn", "api.app:app", "--port", str(free_port())],
    ],
)
def test_nor_does_one_by_the_field_s_own_command(tmp_path: Path, unfit_port: int, command: list[str]) -> None:
    environ = environment(tmp_path, **settings(unfit_port))
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environ, capture_output=True, timeout=90, check=False
    )
    assert ended.returncode in {2, 3}
    assert REASON in ended.stderr.decode() + ended.stdout.decode()


def test_an_api_that_runs_already_is_no_longer_ready_and_says_why(tmp_path: Path, unfit_port: int) -> None:
    url = f"redis://127.0.0.1:{unfit_port}/0"
    with redis_sync.Redis(port=unfit_port) as admin:
        admin.config_set("maxmemory-policy", "noeviction")
        with serving(settings_for(url, tmp_path / "var", free_port())) as api:
            assert api.client.get("/readyz").status_code == 200
            admin.config_set("maxmemory-policy", "allkeys-lru")
            answer: httpx.Response = api.client.get("/readyz?verbose")
    assert answer.status_code == 503
    assert REASON in answer.json()["parts"]["redis"]["detail"]
