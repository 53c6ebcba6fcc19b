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


REFUSED = "RETOUCH_REDIS_URL: Redis refuses the user or password in its address."
GRANT = "RETOUCH_REDIS_URL: the Redis user may not use its channels; grant it: ACL SETUSER app &retouch:*"
MARKED = "RETOUCH_REDIS_URL: another program uses the key retouch:marker; set another RETOUCH_NAMESPACE"
REFUSALS = [("app:word@", GRANT), ("app:wrong@", REFUSED), (":wrong@", REFUSED), ("", MARKED)]
FIELDS_OWN = [
    ["celery", "-A", "workers.app", "worker", "--pool", "threads", "-Q", "poll"],
    ["uvicorn", "api.app:app", "--port", str(free_port())],
]


@pytest.fixture
def limited(unfit_port: int) -> redis_sync.Redis:
    """The server, fit; `app` may use all keys and commands, and no channels, as a new user of Redis 7."""
    admin = redis_sync.Redis(port=unfit_port)
    admin.config_set("maxmemory-policy", "noeviction")
    admin.execute_command(*["ACL", "SETUSER", "app", "reset", "on", ">word", "~*", "+@all"])
    return admin


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        *((["cli", "worker"], refused) for refused in REFUSALS),
        *((command, refused) for command in (["cli", "api"], *FIELDS_OWN) for refused in REFUSALS[:2]),
    ],
)
def test_a_user_or_namespace_that_is_refused_ends_the_process_with_one_line(
    tmp_path: Path, limited: redis_sync.Redis, unfit_port: int, command: list[str], refused: tuple[str, str]
) -> None:
    user, said = refused
    if user:
        limited.config_set("requirepass", "right")
    else:
        limited.set("retouch:marker", "queue")
    own = settings(unfit_port)
    own["RETOUCH_REDIS_URL"] = own["RETOUCH_REDIS_URL"].replace("//", f"//{user}")
    environ = environment(tmp_path, **own)
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environ, capture_output=True, timeout=90, check=False
    )
    lines = [line for line in ended.stderr.decode().splitlines() if said in line]
    assert (ended.returncode, len(lines)) == (2, 1), ended
    assert "Traceback" not in ended.stderr.decode()
    assert "wrong@" not in ended.stderr.decode()


@pytest.mark.usefixtures("limited")
def test_a_password_that_the_broker_refuses_ends_a_worker(tmp_path: Path, unfit_port: int) -> None:
    own = settings(unfit_port) | {"RETOUCH_BROKER_URL": f"redis://app:wrong@127.0.0.1:{unfit_port}/1"}
    answer = program("worker", folder=tmp_path, environ=environment(tmp_path, **own))
    assert answer.returncode == 2, answer
    assert "RETOUCH_BROKER_URL: Redis refuses the user or password in its address." in answer.stderr.decode()


@pytest.mark.parametrize(
    "command",
    FIELDS_OWN,
)
def test_nor_does_one_by_the_field_s_own_command(tmp_path: Path, unfit_port: int, command: list[str]) -> None:
    environ = environment(tmp_path, **settings(unfit_port))
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environ, capture_output=True, timeout=90, check=False
    )
    assert ended.returncode == 2
    assert REASON in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()


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


@pytest.mark.parametrize(
    "trouble",
    [
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "fewer replicas are connected"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "its memory is full (maxmemory)"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "it is a replica and takes no writes"),
        ("ACL SETUSER default resetchannels", "ACL SETUSER default allchannels", "may not use its channels; grant it"),
        ("ACL SETUSER default -evalsha", "ACL SETUSER default +evalsha", "may not use EVALSHA; grant it"),
    ],
    ids=["replicas", "memory", "replica", "channels", "scripts"],
)  # fmt: skip
def test_an_api_that_could_not_accept_an_edit_is_not_ready_and_says_why(
    tmp_path: Path, limited: redis_sync.Redis, unfit_port: int, trouble: tuple[str, str, str]
) -> None:
    change, undo, why = trouble
    with serving(settings_for(f"redis://127.0.0.1:{unfit_port}/0", tmp_path / "var", free_port())) as api:
        assert api.client.get("/readyz").status_code == 200
        limited.execute_command(*change.split())
        answer = api.client.get("/readyz?verbose")
        limited.execute_command(*undo.split())
        assert answer.status_code == 503
        assert why in answer.json()["parts"]["redis"]["detail"]
        assert api.client.get("/readyz").status_code == 200
