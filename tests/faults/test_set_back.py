"""Redis comes back on a copy of its append-only file, some seconds old: later purchases are found and used."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults import valkey
from tests.faults.scenario import SOAK, Scenario
from tests.faults.system import System
from tests.faults.valkey import OwnValkey
from tests.parts.stack import eventually

pytestmark = pytest.mark.fault

SETTINGS = {
    "RETOUCH_QUBICO__CREATES_PER_SECOND": "3",
    "RETOUCH_QUBICO__MAX_IN_FLIGHT": "100",
    "SANDBOX_LATENCY": "0.5",
}
KNOWN, LOST, LEFT = 2, 2, 3  # edits at least that the copy knows as bought, that it believes queued, that still are
REDIS, ALL = "Redis", "Redis and all workers"
RUNS = {"set_back_workers_alive": [REDIS], "set_back_workers_killed": [ALL]} if SOAK else {"set_back": [REDIS, ALL]}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("dying", RUNS.values(), ids=RUNS)
def test_redis_set_back(scenario: Scenario, tmp_path: Path, dying: list[str]):
    """In a test it is set back a second time, without its workers, before the first time is settled."""
    seconds = scenario.size("seconds", test=0, soak=10)
    edits = scenario.size("edits", test=20, soak=60)  # a slow machine copies late
    scenario.is_("Redis comes back on an older append-only file", how=f"SIGKILL of {', then of '.join(dying)}")
    with valkey.own(tmp_path / "valkey") as own, scenario.system(RETOUCH_REDIS_URL=own.url, **SETTINGS) as system:
        copied, known, left = _outdated_copy(system, own, edits=edits, seconds=seconds)
        for whose in dying:
            own.kill()
            if whose == ALL:
                _signal_workers(system, signal.SIGKILL)
            own.start_on(copied)
            eventually(lambda: _waiting(system, left) == {"restored"}, "nothing that was queued is bought")
        lost = _bought(system) - known
        scenario.row.dose = f"{seconds} s with {len(lost)} tasks"
        eventually(lambda: _doubted(system, "newest"), "the ids that were there are known")
        system.fault_over()
        eventually(system.goes_on, "what is new does not wait")
        assert _bought(system).isdisjoint(left)
        assert _doubted(system, "shut")
        assert system.until_ended(within=200, leap=not SOAK)
        with system.redis() as redis:
            assert redis.hmget("retouch:stats", "restored:matched", "restored:whole") == ["1", None]
        scenario.judge(system)


def _outdated_copy(system: System, own: OwnValkey, *, edits: int, seconds: int) -> tuple[Path, set[str], list[str]]:
    """The copy, the edits bought until then, and the last in the queue, which are not bought yet; others have been."""
    first = len(system.accepted)
    _signal_workers(system, signal.SIGSTOP)  # or most would be bought while the last are handed in
    for number in range(first, first + edits):
        system.submit(number)
    _signal_workers(system, signal.SIGCONT)
    eventually(lambda: len(_bought(system)) >= first + KNOWN, "some are bought")
    copied, known = own.copy(), _bought(system)
    time.sleep(seconds)
    eventually(lambda: len(_bought(system)) >= len(known) + LOST, "more are bought")
    left = list(system.accepted.values())[-LEFT:]
    assert _bought(system).isdisjoint(left), "nothing is left that must wait"
    return copied, known, left


def _bought(system: System) -> set[str]:
    """The edits of all tasks, by the provider's own book."""
    return {row["webhook_secret"].split(".")[1] for row in system.ledger()["tasks"]}


def _waiting(system: System, edits: list[str]) -> set[str | None]:
    """What these wait for."""
    with system.stack.http(timeout=5) as api:
        shown = [api.get(f"/v1/edits/{edit_id}").json() for edit_id in edits]
    return {(edit.get("waiting") or {}).get("for") for edit in shown}


def _doubted(system: System, field: str) -> bool:
    """Of what the data say while they may lack something."""
    with system.redis() as redis:
        return bool(redis.hexists("retouch:doubt", field))


def _signal_workers(system: System, which: signal.Signals) -> None:
    for pid in system.stack.worker_pids():
        with suppress(ProcessLookupError):
            os.kill(pid, which)
