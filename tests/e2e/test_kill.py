"""Workers are killed in the middle of everything: nothing is lost, nothing is bought twice."""

import base64
import hashlib
import io
import os
import random
import signal
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.parts.stack import RunningStack, eventually, run_stack

EDITS = 200
KILLS = 8
KILLED_BY = 70  # tasks bought; later ones witness to the provider's history that it is fresh
END_WITHIN = 240.0  # seconds: leases, the quiet period and a second round for what was never sent


@pytest.mark.fault
@pytest.mark.timeout(420)
def test_killed_workers_lose_nothing_and_buy_nothing_twice(tmp_path: Path):
    seed = int(os.environ.get("RETOUCH_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"RETOUCH_TEST_SEED={seed}")
    settings = {
        "RETOUCH_QUBICO__CREATES_PER_SECOND": "4",
        "RETOUCH_QUBICO__MAX_IN_FLIGHT": "100",
        "RETOUCH_WORKER__PROCESSES": "2",
        "SANDBOX_LATENCY": "1.5",
    }
    with run_stack(tmp_path, **settings) as stack, stack.http() as api:
        ids = [submit(api, number) for number in range(EDITS)]
        kill_workers(stack, random.Random(seed))
        eventually(lambda: ended(api, ids) == EDITS, f"{EDITS} edits end", seconds=END_WITHIN)

        edits = [api.get(f"/v1/edits/{edit_id}").json() for edit_id in ids]
        assert [edit["error"] for edit in edits if edit["status"] != "succeeded"] == []
        assert tasks_bought(stack) == EDITS
        assert {edit["provider"]["tasks_bought"] for edit in edits} == {1}
        assert len({edit["provider"]["task_id"] for edit in edits}) == EDITS
        for edit in edits:
            assert_stored(stack, api, edit)


def submit(api: httpx.Client, number: int) -> str:
    body = {"prompt": f"make it sepia, number {number}", "image": picture(number), "width": 128, "height": 128}
    answer = api.post("/v1/edits", json=body, headers={"Idempotency-Key": f"kill-{number}"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def picture(number: int) -> str:
    drawn = io.BytesIO()
    Image.new("RGB", (64, 64), (number, 255 - number, 128)).save(drawn, "PNG")
    return "data:image/png;base64," + base64.b64encode(drawn.getvalue()).decode()


def kill_workers(stack: RunningStack, chance: random.Random) -> None:
    """SIGKILL of a random worker each time so many tasks have been bought."""
    for at in sorted(chance.sample(range(5, KILLED_BY), KILLS)):
        eventually(lambda at=at: tasks_bought(stack) >= at, f"{at} tasks are bought", seconds=60)
        eventually(stack.worker_pids, "a worker runs", seconds=60)
        os.kill(chance.choice(stack.worker_pids()), signal.SIGKILL)


def tasks_bought(stack: RunningStack) -> int:
    ledger = httpx.get(f"{stack.sandbox_url}/sandbox/ledger", timeout=10).json()
    return int(ledger["tasks_bought"])


def ended(api: httpx.Client, ids: list[str]) -> int:
    time.sleep(0.5)  # a look at 200 edits is work for the system that is looked at
    final = "succeeded,failed,canceled"
    return len(api.get("/v1/edits", params={"status": final, "limit": 200}).json()["data"])


def assert_stored(stack: RunningStack, api: httpx.Client, edit: dict[str, object]) -> None:
    """The picture is the same over HTTP and in the storage, and it is the one whose hash was promised."""
    result = edit["result"]
    assert isinstance(result, dict)
    served = api.get(f"/v1/edits/{edit['id']}/result").content
    assert hashlib.sha256(served).hexdigest() == result["sha256"]
    [kept] = (stack.data_dir / "objects").glob(f"edits/*/*/*/{edit['id']}/result.png")
    assert kept.read_bytes() == served
    assert (kept.parent / "manifest.json").exists()
