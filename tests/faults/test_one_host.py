"""What an `up` without any settings stands on goes wrong: its own Valkey is killed, the disk of its results is full."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import pictures, places
from tests.faults.pictures import PROMPT
from tests.faults.places import SmallDisk
from tests.faults.scenario import SOAK, Scenario
from tests.faults.system import System
from tests.parts.stack import eventually

pytestmark = pytest.mark.fault

SETTINGS = {
    "RETOUCH_QUBICO__CREATES_PER_SECOND": "20",
    "RETOUCH_QUBICO__MAX_IN_FLIGHT": "100",
    "SANDBOX_LATENCY": "0.8",
}
VALKEY = "valkey-server"  # of its command


@dataclass
class Ground:
    scenario: Scenario
    system: System
    disk: SmallDisk
    seconds: int


def own_valkey_killed(ground: Ground) -> str:
    """`up` starts it again, ever more slowly while it keeps dying."""
    kills = ground.scenario.size("kills", test=1, soak=6)
    for _ in range(kills):
        pid = ground.system.stack.pid_of(VALKEY)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: _another_valkey(ground.system, pid), "`up` starts its Valkey again")
        time.sleep(ground.scenario.chance.uniform(0, ground.seconds))
    return f"{kills} kills"


def folder_of_results_full(ground: Ground) -> str:
    """Results wait until there is room, and their timelines name it; uploads are refused."""
    system = ground.system
    ground.disk.fill()
    try:
        eventually(lambda: _storage_is_told_away(system), "it is told that the storage does not work")
        with system.stack.http(timeout=10) as api:
            body = {"prompt": PROMPT, "image": pictures.as_data(0)}
            refused = api.post("/v1/edits", json=body)
            waiting = api.get("/v1/edits", params={"status": "storing", "limit": 200}).json()["data"]
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable"), refused.text
        assert {edit["waiting"]["for"] for edit in waiting} <= {"storage"}
        time.sleep(ground.seconds)
    finally:
        ground.disk.make_room()
    eventually(lambda: not _storage_is_told_away(system), "the storage works again")
    for edit in waiting:
        eventually(lambda edit=edit: _ended(system, edit["id"]), "what waited ends")
        assert "storage" in {event.get("wait") for event in system.timeline(edit["id"])}, system.timeline(edit["id"])
    return f"{ground.seconds} s and {len(waiting)} results"


Fault = Callable[[Ground], str]
FAULTS: list[Fault] = [own_valkey_killed, folder_of_results_full]
RUNS = {fault.__name__: [fault] for fault in FAULTS} if SOAK else {"one_host": FAULTS}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("faults", RUNS.values(), ids=RUNS)
def test_one_host(scenario: Scenario, tmp_path: Path, faults: list[Fault]):
    seconds = scenario.size("seconds", test=1, soak=20)
    edits = scenario.size("edits", test=8, soak=100)
    scenario.is_(", ".join(name.replace("_", " ") for name in map(_name, faults)), how=faults[0].__doc__ or "")
    doses = []
    with places.small_disk(tmp_path / "disk", mib=8) as disk:
        objects = disk.folder / "objects"
        with scenario.system(RETOUCH_STORAGE_URL=f"file://{objects}", **SETTINGS) as system:
            ground = Ground(scenario, system, disk, seconds)
            for fault in faults:
                with system.submitting(
                    edits, per_second=edits / seconds, uploads=0 if fault is folder_of_results_full else 4
                ):
                    doses.append(fault(ground))
                    system.fault_over()
                    eventually(system.goes_on, f"work goes on after {_name(fault)}")
            scenario.row.dose = ", ".join(doses)
            scenario.judge(system)
            assert not [path for path in objects.rglob("*") if path.is_file() and "#" in path.name], "staged, and left"


def _name(fault: Fault) -> str:
    return fault.__name__


def _another_valkey(system: System, before: int) -> bool:
    return any(VALKEY in command and pid != before for pid, command in system.stack.part_pids().items())


def _storage_is_told_away(system: System) -> bool:
    with system.stack.http(timeout=10) as api:
        circuits = api.get("/readyz", params={"verbose": "true"}).json()["circuits"] or []  # null while Redis is away
    return "storage" in {circuit["operation"] for circuit in circuits}


def _ended(system: System, edit_id: str) -> bool:
    with system.stack.http(timeout=10) as api:
        return bool(api.get(f"/v1/edits/{edit_id}").json()["finished_at"])
