"""A Valkey that a scenario owns: killed, started again on its data or on an older copy, its clock set wrong."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis as redis_sync

from tests.parts.valkey import free_port, server_binary, start_server


def faketime() -> Path | None:
    """The library that gives a process a clock of its own (`apt-get install faketime`), where it is installed."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class OwnValkey:
    """On a port that stays the same. `options` are of its command line."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.folder = folder
        self._options = options
        self._clock = folder.with_name(f"{folder.name}.clock")
        if faketime():
            self.jump(0)
        self.process = self._start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "redis_sync.Redis":
        return redis_sync.Redis(port=self.port, socket_timeout=5, decode_responses=True)

    def set(self, **parameters: str | int) -> None:
        """CONFIG SET, with _ for -."""
        with self.client() as client:
            for name, value in parameters.items():
                client.config_set(name.replace("_", "-"), value)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        self.process = self._start()

    def stop_answering(self, *, seconds: float) -> None:
        self.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            self.process.send_signal(signal.SIGCONT)

    def copy(self) -> Path:
        """Its append-only file as it is now, as a backup of the folder would have it."""
        copied = self.folder.with_name(f"{self.folder.name}.copy")
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(self.folder, copied)
        return copied

    def start_on(self, copied: Path) -> None:
        """From an older copy of its data, at the same address."""
        shutil.rmtree(self.folder)
        shutil.copytree(copied, self.folder)
        self.start()

    def jump(self, seconds: int) -> None:
        """Its clock, and nobody else's, is so far off the right time from now on. Needs `faketime`."""
        self._clock.write_text(f"{seconds:+d}\n")

    def _start(self) -> "subprocess.Popen[bytes]":
        return start_server(server_binary(), self.folder, self.port, *self._options, environ=self._environment())

    def _environment(self) -> dict[str, str]:
        if not self._clock.exists():
            return dict(os.environ)
        return os.environ | {
            "LD_PRELOAD": str(faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@contextmanager
def own(folder: Path, *options: str) -> Iterator[OwnValkey]:
    valkey = OwnValkey(folder, *options)
    try:
        yield valkey
    finally:
        valkey.kill()
