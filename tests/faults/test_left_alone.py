"""An idle system is left alone while worker processes end in turn and Redis goes away: no other process ends."""

import asyncio
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults import valkey
from tests.faults.scenario import SOAK, Scenario
from tests.integration.workers.processes import STEPS, Processes

pytestmark = pytest.mark.fault

SETS = [STEPS, STEPS, *([step] for step in STEPS if SOAK)]
"""Steps of each process: two with all, and one for each step as in docker-compose.yml.

Those have a test of their own in tests/integration/workers/test_left_alone.py.
"""

PAUSE = 12.0  # seconds between two ends
AWAY = 60.0 if SOAK else 3.0  # seconds


@pytest.mark.timeout(1800)
def test_left_alone(scenario: Scenario, tmp_path: Path):
    seconds = scenario.size("seconds", test=3, soak=600)
    how = f"SIGTERM or SIGKILL in turn of {len(SETS)} workers beside `up`, then SIGSTOP of Redis; no other process ends"
    scenario.is_("an idle system is left alone", how=how)
    with ExitStack() as opened:
        own = opened.enter_context(valkey.own(tmp_path / "valkey"))
        system = opened.enter_context(scenario.system(RETOUCH_REDIS_URL=own.url))
        parts = system.stack.part_pids()
        processes = Processes(dict(os.environ) | system.stack.environ | system.stack.made, tmp_path, opened)
        for steps in SETS:
            processes.start(steps)
        ends = asyncio.run(_end_in_turn(processes, seconds))
        own.stop_answering(seconds=AWAY)
        scenario.row.dose = f"{seconds} s with {ends} ends, then {AWAY:.0f} s without Redis"
        system.fault_over()
        scenario.judge(system)
        processes.none_ended()
        assert system.stack.part_pids() == parts
        logs = [path.read_text() for path in tmp_path.rglob("*.log")]
        assert not [line for log in logs for line in log.splitlines() if "process.stalled" in line]


async def _end_in_turn(processes: Processes, seconds: float) -> int:
    """Each process is replaced as soon as it has ended; returns how many were."""
    await processes.all_run()
    ends, until = 0, time.monotonic() + seconds
    while ends < 2 or time.monotonic() < until:
        await processes.replace(0, SETS[ends % len(SETS)], by=signal.SIGKILL if ends % 2 else signal.SIGTERM)
        ends += 1
        await asyncio.sleep(PAUSE if SOAK else 0)
        processes.none_ended()
    return ends
