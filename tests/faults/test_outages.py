"""What edits need goes away for two workers and comes back: one probe asks for both, timelines name the wait, and no
deadline counts it. Together in a test, each operation alone in a soak.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.faults.pictures import PROMPT
from tests.faults.scenario import SOAK, Scenario
from tests.faults.system import System
from tests.parts.stack import eventually
from workers.circuits import IN_A_ROW

pytestmark = pytest.mark.fault

SETTINGS = {
    "RETOUCH_WORKER__PROCESSES": "2",
    "RETOUCH_QUBICO__CREATES_PER_SECOND": "20",
    "RETOUCH_QUBICO__MAX_IN_FLIGHT": "200",
    "RETOUCH_EDITS__DEADLINE": "10s",
    "SANDBOX_LATENCY_SIGMA": "0",
}
LOST = f"{PROMPT} [fault:drop] [fault:callback_lost]"  # only the history tells of its task
SHORT, LONG = f"{PROMPT} [fault:slow=27]", f"{PROMPT} [fault:slow=43]"  # 8 s and 13 s
READS_AWAY = 6.0  # seconds; two of them may have been planned before, so that a long one waits for 9 s that count
COUNTED = {"create": "creates", "read": "gets", "history": "history_reads", "download": "downloads"}
THROTTLED = "create, by 429"  # so that no answer is lost, and none has to be waited for
IN_HAND = 10  # requests on their way when a circuit closes
PER_SECOND = 4
BEFORE, AFTERWARDS = 8, 12  # seconds of a soak around its outage
PRE_SPAN, WINDOW = 6.0, 2.0  # seconds in which ends are counted for the rate, before and after


@dataclass
class Outages:
    """Takes operations away from a running system, and counts what is asked meanwhile."""

    system: System
    away: list[str] = field(default_factory=list)

    @contextmanager
    def of(self, *operations: str) -> Iterator[None]:
        self._take(operations)
        try:
            yield
        finally:
            self._give_back(operations)

    def until_closed(self, *operations: str) -> None:
        eventually(lambda: self.told() >= set(operations), f"circuits of {operations} close", seconds=120)

    def told(self) -> set[str]:
        with self.system.stack.http(timeout=10) as api:
            circuits = (
                api.get("/readyz", params={"verbose": "true"}).json()["circuits"] or []
            )  # null while Redis is away
        return {circuit["operation"] for circuit in circuits}

    def granted(self, operation: str) -> int:
        """Requests that the scripts let through; of what has no rate, only while it is away or comes back."""
        with self.system.redis() as redis:
            return int(redis.hget("retouch:stats", f"granted:{operation}") or 0)

    def asked(self, operation: str) -> int:
        """By the provider's own count; it knows nothing of our storage."""
        if operation == "storage":
            return self.granted(operation)
        return int(self._stats()[COUNTED[operation]])

    def completed(self) -> int:
        """Tasks, by the provider's book."""
        return int(self._stats()["statuses"].get("completed", 0))

    def _stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = httpx.get(f"{self.system.stack.sandbox_url}/sandbox/stats", timeout=30).json()
        return stats

    def _take(self, operations: Sequence[str]) -> None:
        self.away += operations
        if "storage" in operations:
            self._objects.rename(self._objects.with_name("objects.away"))
            self._objects.write_text("a file where the folder was")
        self._tell_sandbox()

    def _give_back(self, operations: Sequence[str]) -> None:
        self.away = [name for name in self.away if name not in operations]
        if "storage" in operations:
            self._objects.unlink()
            self._objects.with_name("objects.away").rename(self._objects)
        self._tell_sandbox()

    def _tell_sandbox(self) -> None:
        throttled = {"throttled": 1.0} if THROTTLED in self.away else {}
        at_provider = [name for name in self.away if name in COUNTED]
        outage = "refuse_503" if at_provider else "none"
        self.system.sandbox(outage=outage, outage_of=at_provider, fault_rates=throttled, retry_after=0)

    @property
    def _objects(self) -> Path:
        return Path(urlsplit(self.system.stack.setting("RETOUCH_STORAGE_URL")).path)


def probes_in(seconds: float) -> int:
    """So many are let through after 1, 2, 4 … 30 s, each of them refused."""
    return math.floor(math.log2(seconds + 1)) if seconds < 31 else 5 + math.floor((seconds - 31) / 30)


def hand_in(system: System, count: int, prompt: str = PROMPT) -> list[str]:
    first = len(system.accepted)
    for number in range(first, first + count):
        system.submit(number, prompt=prompt)
    return [system.accepted[number] for number in range(first, first + count)]


def others(system: System, edit_ids: Sequence[str], status: str) -> set[str]:
    """Those that do not have it."""
    with system.stack.http() as api:
        return {edit_id for edit_id in edit_ids if api.get(f"/v1/edits/{edit_id}").json()["status"] != status}


def waits_of(system: System, edit_id: str) -> dict[str, float]:
    """Seconds by what it waited for; they add up to its whole life."""
    with system.stack.http() as api:
        edit = api.get(f"/v1/edits/{edit_id}").json()
    life = (datetime.fromisoformat(edit["finished_at"]) - datetime.fromisoformat(edit["created_at"])).total_seconds()
    _, *events = system.timeline(edit_id)
    spans: dict[str, float] = {}
    for event in events[1:]:
        assert event["wait"], events
        spans[event["wait"]] = spans.get(event["wait"], 0.0) + event["duration_ms"] / 1000
    assert sum(spans.values()) == pytest.approx(life, rel=0.01, abs=0.01), events
    return spans


def one_probe_at_a_time(outages: Outages, seconds: float, **since: list[float]) -> None:
    """For so long only probes are let through, however many processes there are.

    `since`: by operation, when it went away, and whatever else is read with its tokens.
    """
    before = {name: outages.granted(name) for name in since}
    time.sleep(seconds)
    granted = {name: outages.granted(name) - before[name] for name in since}
    most = {name: sum(probes_in(time.monotonic() - at) for at in times) for name, times in since.items()}
    assert all(granted[name] <= most[name] for name in since), f"{granted} let through, and {most} probes were due"


@pytest.mark.skipif(SOAK, reason="in a soak each operation is away alone")
@pytest.mark.timeout(600)
def test_outages(scenario: Scenario):
    with scenario.system(**SETTINGS) as system:
        outages = Outages(system)
        first_at = time.monotonic()
        with outages.of("history", "storage"):
            unknown, copied = hand_in(system, 8, LOST), hand_in(system, 12)
            outages.until_closed("history", "storage")
            with system.stack.http() as api:
                assert api.get(f"/v1/edits/{copied[0]}").json()["waiting"]["for"] in {"storage", "notice"}
            short, long = hand_in(system, 8, SHORT), hand_in(system, 6, LONG)
            eventually(lambda: not others(system, [*short, *long], "processing"), "their tasks run", seconds=60)
            with outages.of("read", THROTTLED):
                away_at = time.monotonic()
                queued = hand_in(system, 12)
                outages.until_closed("read", "create")
                ended_early = others(system, short, "processing")
                one_probe_at_a_time(outages, 3, read=[away_at, first_at], create=[away_at], storage=[first_at])
                ended = len(system.accepted) - len(queued) - len(long)
                eventually(lambda: outages.completed() >= ended, "all tasks but the long ones end", seconds=60)
                time.sleep(max(0.0, READS_AWAY - (time.monotonic() - away_at)))
        with outages.of("download"):
            away_at = time.monotonic()
            files = hand_in(system, 12)
            outages.until_closed("download")
            one_probe_at_a_time(outages, 3, download=[away_at])
        system.fault_over()
        scenario.judge(system)
        waits = {edit_id: waits_of(system, edit_id) for edit_id in system.accepted.values()}
        assert all("cooldown" in waits[edit_id] for edit_id in set(short) - ended_early)
        assert any("storage" in waits[edit_id] for edit_id in copied)
        assert any("cooldown" in waits[edit_id] for edit_id in queued)
        assert any("cooldown" in waits[edit_id] for edit_id in files)
        assert all("answer_lost" in waits[edit_id] for edit_id in unknown)


@pytest.mark.skipif(not SOAK, reason="in a test all operations are away in one run")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("operation", ["create", "read", "history", "download", "storage"], ids="outage_of_{}".format)
def test_outage(scenario: Scenario, operation: str):
    edits = scenario.size("edits", test=200, soak=200)
    seconds = scenario.size("seconds", test=30, soak=30)
    how = "its folder is not there" if operation == "storage" else "sandbox: outage refuse_503"
    scenario.is_(f"{operation} is away for two workers", how=how)
    with scenario.system(**SETTINGS) as system:
        outages = Outages(system)
        told = Told()
        with steadily(system, edits, lost=operation == "history"):
            time.sleep(BEFORE)
            before, told.away_at = outages.asked(operation), system.now()
            with outages.of(operation):
                time.sleep(seconds)
                asked = outages.asked(operation) - before
            told.back_at = system.now()
        system.fault_over()
        scenario.row.dose = f"{seconds} s, {asked} requests"
        scenario.judge(system)
        affected = [edit_id for number, edit_id in system.accepted.items() if operation != "history" or number % 4 == 1]
        scenario.row.dose += f", 95 % of the rate after {told.climbed(system, affected):.1f} s"
        scenario.row.write()
        for edit_id in system.accepted.values():
            waits_of(system, edit_id)
        assert asked <= 2 * IN_A_ROW + IN_HAND + probes_in(seconds)


@contextmanager
def steadily(system: System, count: int, *, lost: bool) -> Iterator[None]:
    """Hands in so many edits at an even pace; `lost`: every fourth is one that only the history tells of."""
    with system.submitting(
        count, per_second=PER_SECOND, prompt_of=lambda number: LOST if lost and number % 4 == 1 else PROMPT
    ):
        yield
        time.sleep(AFTERWARDS)


@dataclass
class Told:
    """When it went and when it came back, by the clock of edits."""

    away_at: float = 0.0
    back_at: float = 0.0

    def climbed(self, system: System, edit_ids: Sequence[str]) -> float:
        """Seconds until as many edits ended as did before it went, to 95 %."""
        ends = sorted(end for edit_id in edit_ids if (end := _ended_at(system, edit_id)))
        former = sum(self.away_at - PRE_SPAN <= end < self.away_at for end in ends) / PRE_SPAN
        assert former > 0, "nothing ended before"
        for end in ends:
            if end >= self.back_at and sum(end - WINDOW < other <= end for other in ends) / WINDOW >= 0.95 * former:
                return end - self.back_at
        raise AssertionError(f"the rate of {former:.1f} a second never came back")


def _ended_at(system: System, edit_id: str) -> float | None:
    with system.stack.http() as api:
        edit: dict[str, Any] = api.get(f"/v1/edits/{edit_id}").json()
    return datetime.fromisoformat(edit["finished_at"]).timestamp() if edit["finished_at"] else None
