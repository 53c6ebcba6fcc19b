"""Services of `retouch up` that die, hang or are stopped: no edit is lost, and no process is left running."""

import base64
import os
import signal

import httpx
import pytest

from tests.parts.stack import ROOT, eventually, run_stack, running


@pytest.mark.fault
def test_dead_parts_are_started_again_and_no_edit_is_lost(tmp_path):
    with run_stack(tmp_path, SANDBOX_LATENCY="2") as up, up.http() as api:
        _kill(up, [up.pid_of("api.app"), up.pid_of("qubico.sandbox"), up.pid_of("flower")])
        eventually(lambda: _answer(api, "/readyz") is not None, "the API to answer again")

        picture = base64.b64encode((ROOT / "samples" / "landscape.jpg").read_bytes()).decode()
        body = {"prompt": "Make it sepia", "image": f"data:image/jpeg;base64,{picture}"}
        edit = api.post("/v1/edits", json=body).raise_for_status().json()
        path = f"/v1/edits/{edit['id']}"
        eventually(lambda: _answer(api, path)["status"] == "processing", "the provider to have it")
        _kill(up, [*up.worker_pids(), up.pid_of("valkey-server")])
        eventually(lambda: (_answer(api, path) or edit)["status"] == "succeeded", "the edit to succeed")
        for name in ("api", "sandbox", "flower", "worker1", "valkey"):
            assert f"{name} died (SIGKILL); restart in 0.5 s" in up.said()


@pytest.mark.fault
def test_parts_that_hang_are_killed_and_started_again(tmp_path):
    with run_stack(tmp_path, RETOUCH_STALL_LIMIT="6s") as up, up.http() as api:
        hung = [up.pid_of("api.app"), *up.worker_pids(), up.pid_of("flower")]
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda: up.said().count("restarted") >= len(hung), "all to be started again")
        for name in ("api", "worker1", "flower"):
            assert f"{name} failed its health check for 6 s and is killed" in up.said()
        eventually(lambda: _answer(api, "/readyz") is not None, "the API to answer again")
        assert not any(running(pid) for pid in hung)


def _kill(up, pids):
    before = up.said().count("restarted")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: up.said().count("restarted") >= before + len(pids), "all to be started again")


def _answer(api, path):
    """What the API says, or None while it cannot."""
    try:
        answer = api.get(path)
    except httpx.TransportError:
        return None
    return answer.json() if answer.status_code == 200 else None


@pytest.mark.fault
def test_nothing_is_left_of_an_up_that_is_killed_nor_of_the_next_one_after_ctrl_c(tmp_path):
    with run_stack(tmp_path) as up:
        pids = list(up.part_pids())
        assert len(pids) == 6  # Valkey, sandbox, API, worker, Flower, and the reaper
        up.process.kill()
        up.process.wait()
        eventually(lambda: not any(running(pid) for pid in pids), "every part to end")
        stale = up.program("status")
        assert stale.returncode == 3
        (up.data_dir / "up.json").unlink()  # so that the next start can be waited for
    with run_stack(tmp_path) as again:
        assert again.program("status").returncode == 0
        _ends_everything_at_ctrl_c(again)


def _ends_everything_at_ctrl_c(up):
    pids = list(up.part_pids())
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(90) == 130
    assert not any(running(pid) for pid in pids)
