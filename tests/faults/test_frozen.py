"""A worker is frozen at every point of a submit and goes on when its lease and the quiet period are over."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults import freezing, workers
from tests.faults.freezing.sitecustomize import POINTS
from tests.faults.scenario import SOAK, Scenario
from tests.faults.system import System
from tests.parts.stack import RunningStack

pytestmark = pytest.mark.fault

AFTERWARDS = 3.0  # seconds in which whoever goes on could send what is no longer his


@pytest.mark.timeout(600)
def test_frozen_submit(scenario: Scenario):
    points = POINTS if SOAK else scenario.chance.sample(POINTS, 2)
    scenario.is_(
        "a worker is frozen at each point of a submit", how=f"SIGSTOP past lease and quiet period: {', '.join(points)}"
    )
    scenario.row.dose = f"{len(points)} freezes"
    with scenario.system(RETOUCH_QUBICO__CREATES_PER_SECOND="8") as system, frozen(system.stack, points) as frozen_ones:
        _hand_in_until_frozen(system, frozen_ones)
        began = time.monotonic()
        assert system.until_ended(within=200, leap=not SOAK), "the others did not end what the frozen ones held"
        scenario.row.dose += f", {time.monotonic() - began:.0f} s"
        bought = _tasks(system)
        for worker in frozen_ones:
            worker.send_signal(signal.SIGCONT)
        time.sleep(AFTERWARDS)
        late = {task: edit for task, edit in _tasks(system).items() if task not in bought}
        assert not late, [system.timeline(edit) for edit in late.values()]
        assert [worker.poll() for worker in frozen_ones] == [None] * len(points)
        system.fault_over()
        scenario.judge(system)


@contextmanager
def frozen(stack: RunningStack, points: list[str] | tuple[str, ...]) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """A worker for each point, which buys and does nothing else."""
    folder = Path(freezing.__file__).parent
    frozen_ones = [workers.start(stack, "--steps", "submit", folder=folder, FREEZE_AT=point) for point in points]
    try:
        yield frozen_ones
    finally:
        for worker in frozen_ones:
            worker.kill()
            worker.wait()


def _hand_in_until_frozen(system: System, frozen_ones: list["subprocess.Popen[bytes]"]) -> None:
    """The workers of `up` stand still meanwhile, or they would take most of the edits."""
    others = system.stack.worker_pids()
    _signal(others, signal.SIGSTOP)
    until = time.monotonic() + 120
    while not all(_stopped(worker.pid) for worker in frozen_ones):
        assert time.monotonic() < until, [worker.poll() for worker in frozen_ones]
        system.submit(len(system.accepted))
        time.sleep(1)
    _signal(others, signal.SIGCONT)


def _tasks(system: System) -> dict[str, str]:
    """The edit of each task that was bought."""
    return {row["task_id"]: row["webhook_secret"].split(".")[1] for row in system.ledger()["tasks"]}


def _signal(pids: list[int], which: signal.Signals) -> None:
    """One that stood still for long may have been killed and replaced by `up`."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, which)


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
