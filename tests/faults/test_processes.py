"""Processes are killed at random moments while edits are on their way."""

import os
import signal
import time
from contextlib import suppress

import pytest

from tests.faults import workers
from tests.faults.scenario import SOAK, Scenario
from tests.faults.system import System

pytestmark = pytest.mark.fault

MEAN_PAUSE = 1.1  # seconds; a worker starts in two or three
SPARED = ("valkey-server", "qubico.sandbox.app")  # Redis has faults of its own; the sandbox is the provider


@pytest.mark.timeout(2400)
def test_sigkill_of_any_process(scenario: Scenario):
    kills = scenario.size("kills", test=7, soak=1000)
    edits = scenario.size("edits", test=30, soak=1500)
    scenario.is_("a process is killed", how="SIGKILL of a random worker, API, Flower, reaper or whole `up`")
    settings = {
        "RETOUCH_QUBICO__CREATES_PER_SECOND": "4",
        "RETOUCH_QUBICO__MAX_IN_FLIGHT": "100",
        "RETOUCH_WORKER__PROCESSES": "1",
        "SANDBOX_LATENCY": "1.5",
    }
    with scenario.system(**settings) as system, workers.beside(system.stack, 3 if SOAK else 2) as others:
        with system.submitting(edits, per_second=3):
            for number in range(kills):
                time.sleep(scenario.chance.expovariate(1 / MEAN_PAUSE))
                others.keep()
                if number % 250 == 5:
                    system.kill()
                    others.join(system.stack)
                else:
                    _kill_one(scenario, system, others)
        scenario.row.dose = f"{kills} kills"
        system.fault_over()
        scenario.judge(system)


def _kill_one(scenario: Scenario, system: System, others: workers.Workers) -> None:
    """One in ten is a part of `up`, which takes ever longer to start a part again that keeps dying."""
    parts = [pid for pid, command in system.stack.part_pids().items() if not any(name in command for name in SPARED)]
    if parts and (scenario.chance.random() < 0.1 or not others.pids()):
        with suppress(ProcessLookupError):
            os.kill(scenario.chance.choice(sorted(parts)), signal.SIGKILL)
    else:
        others.kill(scenario.chance.choice(others.pids()))
