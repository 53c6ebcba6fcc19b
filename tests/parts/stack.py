"""The whole system as a user starts it: the real `retouch up`, in its own process, on free ports and a fresh folder.

`stack` is one for the session, with a quick sandbox; `run_stack(folder, NAME=value, …)` starts one more.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.valkey import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = (sys.executable, "-m", "cli")
PATIENT = (sys.executable, "-m", "tests.parts.patient")
"""The same program with the time limits of tests/parts/patience.py."""
PICTURE = str(ROOT / "samples" / "landscape.jpg")
START_WITHIN = 90.0  # seconds; a high bound costs nothing when the wait succeeds
STOP_WITHIN = 90.0
QUICK = {
    "SANDBOX_LATENCY": "0.3",
    "SANDBOX_WAIT": "0.05",
    "SANDBOX_HISTORY_LAG": "0",
    "SANDBOX_PAINT": "small",
    "RETOUCH_WORKER__PROCESSES": "1",
    "RETOUCH_SHUTDOWN_GRACE": "5s",
}


def listed(answer: "subprocess.CompletedProcess[bytes]") -> list[Any]:
    """The JSON lines of a command's stdout."""
    return [json.loads(line) for line in answer.stdout.splitlines()]


class RunningStack:
    """A running `retouch up`, seen from outside."""

    def __init__(self, process: "subprocess.Popen[bytes]", *, folder: Path, environ: Mapping[str, str]) -> None:
        self.process = process
        self.folder = folder
        self.environ = dict(environ)
        self.data_dir = folder / "var"
        self._up: dict[str, Any] = json.loads((self.data_dir / "up.json").read_bytes())
        self.api_url: str = self._up["api_url"]
        self.api_key: str = self._up["api_key"]
        self.sandbox_url: str = self._up["sandbox_url"]
        self.flower_url: str = self._up["flower_url"]
        self.redis_url = self.setting("RETOUCH_REDIS_URL")

    @property
    def pid(self) -> int:
        return self.process.pid

    def setting(self, name: str) -> str:
        """A setting that `up` chose for its services."""
        value: str = self._up["environment"][name]
        return value

    @property
    def made(self) -> dict[str, str]:
        """Every setting that `up` gave its services, for a process outside."""
        return dict(self._up["environment"])

    def http(self, *, timeout: float = 100.0) -> httpx.Client:
        """The API, with the operator's key."""
        headers = {"X-API-Key": self.api_key}
        return httpx.Client(base_url=self.api_url, headers=headers, timeout=timeout, trust_env=False)

    def part_pids(self) -> dict[int, str]:
        """Running child processes of `up`, with their commands."""
        return children_of(self.pid)

    def worker_pids(self) -> list[int]:
        return [pid for pid, command in self.part_pids().items() if "-m workers " in command]

    def pid_of(self, words: str) -> int:
        """The service whose command contains these words."""
        parts = self.part_pids()
        found = [pid for pid, command in parts.items() if words in command]
        assert found, f"no {words} among {parts}; `up` said:\n{self.said()}"
        return found[0]

    def said(self) -> str:
        """The output of `up` so far."""
        return (self.folder / "up.err").read_text()

    def program(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[bytes]":
        """A `retouch` command beside this `up`, finished."""
        return program(*arguments, folder=self.folder, environ={**self.environ, **more})


@contextmanager
def run_stack(folder: Path, **settings: str) -> Iterator[RunningStack]:
    """Starts the system in this folder and stops it at the end of the block."""
    stack = start_stack(folder, **settings)
    try:
        yield stack
    finally:
        stop(stack.process)


def start_stack(folder: Path, **settings: str) -> RunningStack:
    """Starts the system in this folder; the caller ends it with `stop`."""
    environ = environment(folder, **QUICK | {"RETOUCH_API__PORT": str(free_port())} | settings)
    with (folder / "up.out").open("ab") as out, (folder / "up.err").open("ab") as err:
        process = subprocess.Popen([*PROGRAM, "up"], cwd=folder, env=environ, stdout=out, stderr=err)
    try:
        _until_ready(process, folder)
    except BaseException:
        stop(process)
        raise
    return RunningStack(process, folder=folder, environ=environ)


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """The environment of this process, with these settings and no others of ours."""
    foreign = ("RETOUCH_", "SANDBOX_", "FLOWER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    own = {"RETOUCH_DATA_DIR": str(folder / "var"), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    return {**kept, **own, **settings}


def program(
    *arguments: str,
    folder: Path,
    environ: Mapping[str, str],
    seconds: float = 120.0,
    command: Sequence[str] = PROGRAM,
) -> "subprocess.CompletedProcess[bytes]":
    env = dict(environ)
    nothing = subprocess.DEVNULL
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=env, stdin=nothing, capture_output=True, timeout=seconds, check=False
    )


def stop(process: "subprocess.Popen[bytes]") -> int:
    """SIGTERM, then SIGKILL; the exit code."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def children_of(pid: int) -> dict[int, str]:
    """Direct children that run, zombies not counted, with their commands."""
    listed = subprocess.run(["ps", "-axwwo", "pid=,ppid=,stat=,command="], capture_output=True, text=True, check=True)
    rows = (line.split(None, 3) for line in listed.stdout.splitlines())
    return {int(row[0]): row[3] for row in rows if len(row) == 4 and int(row[1]) == pid and row[2][0] != "Z"}


def running(pid: int) -> bool:
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip() != "" and not listed.stdout.strip().startswith("Z")


def eventually(true: Callable[[], object], what: str, *, seconds: float = 150.0) -> None:
    """Waits until the condition holds."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def _until_ready(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    until = time.monotonic() + START_WITHIN
    while not _announced(process.pid, folder):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"`retouch up` did not start:\n{(folder / 'up.err').read_text()}")
        time.sleep(0.05)


def _announced(pid: int, folder: Path) -> bool:
    """Whether up.json is of this process, not of an `up` that was killed before."""
    try:
        return bool(json.loads((folder / "var" / "up.json").read_bytes())["pid"] == pid)
    except FileNotFoundError:
        return False


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with run_stack(tmp_path_factory.mktemp("stack")) as running_stack:
        yield running_stack
