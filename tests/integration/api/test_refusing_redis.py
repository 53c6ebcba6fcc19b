"""A Redis that refuses writes (LOADING, MISCONF, READONLY …) is an outage: 503 with the reason, and it passes."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import redis as redis_sync

from edits.db.trouble import REASONS
from tests.integration.api.conftest import Api, serving, settings_for
from tests.integration.api.progress import png
from tests.integration.api.test_accept import BODY, data_uri, objects_in
from tests.parts.valkey import free_port, server_binary, start_server

OPTIONS = ["--appendonly", "no", "--rdbcompression", "no"]
"""A snapshot keeps the data, as on a server without an append-only file."""
KEYS, KEY_BYTES = 6_000, 1_100
SLOWLY = ["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"]
"""A minute for those keys, at 10,000 µs a key; commands are answered after each key."""


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] = start_server(server_binary(), folder, self.port, *OPTIONS)

    def say(self, *words: object) -> None:
        with redis_sync.Redis(port=self.port) as client:
            client.execute_command(*words)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(90)

    def restart(self, *options: str) -> None:
        """On its snapshot. Returns before the server listens."""
        self.end()
        command = [server_binary(), "--port", str(self.port), "--dir", str(self.folder), *OPTIONS, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def reply_to_a_write(self) -> str:
        """The first word, without the sign of an error; empty while nothing listens."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.sendall(b"SET mark x\r\n")
                return connection.recv(1000).decode()[1:].split()[0]
        except OSError:
            return ""


def load_slowly(server: Server) -> None:
    with redis_sync.Redis(port=server.port) as client:
        client.mset({f"other:{number}": "x" * KEY_BYTES for number in range(KEYS)})
        client.save()
    server.restart(*SLOWLY)


def load_at_once(server: Server) -> None:
    server.say("CONFIG", "SET", "key-load-delay", "0")


def fail_to_save(server: Server) -> None:
    """A folder stands where the snapshot belongs."""
    (server.folder / "dump.rdb" / "in the way").mkdir(parents=True)
    server.say("CONFIG", "SET", "save", "3600 1")
    server.say("BGSAVE")


def save_again(server: Server) -> None:
    (server.folder / "dump.rdb" / "in the way").rmdir()
    (server.folder / "dump.rdb").rmdir()
    server.say("SAVE")


def become_replica(server: Server) -> None:
    server.say("REPLICAOF", "127.0.0.1", "1")


def become_primary(server: Server) -> None:
    server.say("REPLICAOF", "NO", "ONE")


def become_cluster(server: Server) -> None:
    """A cluster whose slots nobody serves. Its second port, by default its first and 10000, may be taken."""
    server.restart("--cluster-enabled", "yes", "--cluster-port", str(free_port()))


def leave_cluster(server: Server) -> None:
    server.restart()


class Refusal(NamedTuple):
    word: str  # the first of the server's error
    begin: Callable[[Server], None]
    end: Callable[[Server], None]
    ready: str  # what `readyz` says


REFUSALS = [
    Refusal("LOADING", load_slowly, load_at_once, REASONS["LOADING"]),
    Refusal("MISCONF", fail_to_save, save_again, REASONS["MISCONF"]),
    Refusal("READONLY", become_replica, become_primary, "it is a replica and takes no writes"),
    Refusal("CLUSTERDOWN", become_cluster, leave_cluster, "it runs in cluster mode"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path / "valkey")
    yield started
    started.end()


@pytest.fixture
def api(server: Server, tmp_path: Path) -> Iterator[Api]:
    with serving(settings_for(f"redis://127.0.0.1:{server.port}/0", tmp_path / "var", free_port())) as serving_api:
        yield serving_api


def why_not_ready(api: Api) -> str | None:
    """A connection from before a restart may fail once, so this is asked until it says what is expected."""
    answer = api.client.get("/readyz?verbose")
    redis: dict[str, str] = answer.json()["parts"]["redis"]
    assert answer.status_code == (200 if redis["status"] == "ok" else 503)
    return redis.get("detail") if redis["status"] == "down" else None


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 90
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.parametrize("refusal", REFUSALS, ids=[refusal.word for refusal in REFUSALS])
def test_a_redis_that_refuses_is_an_outage_with_its_reason(server: Server, api: Api, refusal: Refusal) -> None:
    api.accept()
    refusal.begin(server)
    until(lambda: server.reply_to_a_write() == refusal.word)
    for body in (BODY, BODY | {"image": data_uri(png())}):
        refused = api.client.post("/v1/edits", json=body)
        assert refused.status_code == 503, refused.text
        assert (refused.json()["code"], refused.json()["detail"]) == ("unavailable", REASONS[refusal.word])
        assert int(refused.headers["Retry-After"]) >= 1
    assert objects_in(api) == []
    until(lambda: refusal.ready in (why_not_ready(api) or ""))
    refusal.end(server)
    until(lambda: server.reply_to_a_write() == "OK")
    until(lambda: why_not_ready(api) is None)
    api.accept()
