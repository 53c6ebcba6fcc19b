"""Every process is restarted under load, one after the other: no call fails, no edit is lost, each is bought once."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.faults import pictures
from tests.parts.stack import RunningStack, children_of, eventually, run_stack, running


@dataclass
class Client:
    """Submits and waits, over and over. Only a refused connection is tried again: any other error ends it."""

    stack: RunningStack
    first: int
    ids: list[str] = field(default_factory=list)
    refused: int = 0
    failed: list[BaseException] = field(default_factory=list)
    leaving: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            with self.stack.http() as api:
                while not self.leaving.is_set():
                    self._edit(api, self.first + len(self.ids))
        except BaseException as exc:  # noqa: BLE001 - the test tells of it
            self.failed.append(exc)

    def _edit(self, api: httpx.Client, number: int) -> None:
        body = {
            "prompt": f"make it sepia, number {number}",
            "image": pictures.as_data(number),
            "width": 128,
            "height": 128,
        }
        edit = self._ask(api, "POST", "/v1/edits", json=body, headers={"Prefer": "wait=20"})
        self.ids.append(edit["id"])
        while edit["finished_at"] is None and not self.leaving.is_set():
            edit = self._ask(api, "GET", f"/v1/edits/{edit['id']}", headers={"Prefer": "wait=20"})

    def _ask(self, api: httpx.Client, method: str, path: str, **asked: object) -> dict[str, object]:
        for _ in range(1500):
            try:
                answer = api.request(method, path, **asked)
            except httpx.ConnectError:
                self.refused += 1
                self.leaving.wait(0.1)
            else:
                return dict(answer.raise_for_status().json())
        raise AssertionError("refused for 150 s")


@contextlib.contextmanager
def clients(stack: RunningStack, count: int) -> Iterator[list[Client]]:
    made = [Client(stack, first=1000 * number) for number in range(count)]
    threads = [threading.Thread(target=client.run) for client in made]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        for client in made:
            client.leaving.set()
        for thread in threads:
            thread.join(90)


@pytest.mark.fault
def test_a_rolling_restart_of_everything_under_load_is_not_noticed(tmp_path: Path):
    settings = {
        "RETOUCH_API__PROCESSES": "2",
        "RETOUCH_WORKER__PROCESSES": "2",
        "RETOUCH_QUBICO__CREATES_PER_SECOND": "20",
        "SANDBOX_LATENCY": "0.5",
    }
    with run_stack(tmp_path, **settings) as stack:
        with clients(stack, 3) as asking:
            eventually(lambda: all(client.ids for client in asking), "everybody has an edit")
            for pid in stack.worker_pids():
                restart(stack, pid)
            restart_api_processes(stack)
            restart(stack, stack.pid_of("flower"))
            before = [len(client.ids) for client in asking]
            eventually(
                lambda: all(len(client.ids) > had for client, had in zip(asking, before, strict=True)),
                "everybody goes on",
            )
        assert [client.failed for client in asking] == [[], [], []]
        assert sum(client.refused for client in asking) == 0  # the port is held while its processes are replaced
        ids = [edit_id for client in asking for edit_id in client.ids]
        with stack.http() as api:
            unended = {"status": "queued,submitting,processing,storing"}
            eventually(lambda: not api.get("/v1/edits", params=unended).json()["data"], "all edits end")
            edits = [api.get(f"/v1/edits/{edit_id}").json() for edit_id in ids]
        assert {edit["status"] for edit in edits} == {"succeeded"}
        assert {edit["provider"]["tasks_bought"] for edit in edits} == {1}
        ledger = httpx.get(f"{stack.sandbox_url}/sandbox/ledger", timeout=90).json()
        assert ledger["tasks_bought"] == len(ids)
        said = stack.said()
        assert said.count("died (exit 0)") == 3
        assert "did not end in time" not in said


def restart(stack: RunningStack, pid: int) -> None:
    """Ends a part well; `up` starts it again."""
    before = stack.said().count("restarted")
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: stack.said().count("restarted") > before, "it is started again")
    assert not running(pid)


def restart_api_processes(stack: RunningStack) -> None:
    """SIGHUP: each of the processes behind the port is replaced once its successor serves."""
    parent = stack.pid_of("api.app")
    old = serving(parent)
    assert len(old) == 2
    os.kill(parent, signal.SIGHUP)
    eventually(lambda: not old & serving(parent), "both processes are new")
    eventually(lambda: len(serving(parent)) == 2, "both processes run")


def serving(parent: int) -> set[int]:
    return {pid for pid, command in children_of(parent).items() if "spawn_main" in command}
