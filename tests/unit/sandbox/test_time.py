"""Go's times, rate limits and planned task times: arithmetic without a server."""

import math
from random import Random
from statistics import median

import pytest

from qubico.sandbox.clock import go_time
from qubico.sandbox.intake import parse
from qubico.sandbox.limits import RateLimit
from qubico.sandbox.options import SandboxOptions
from qubico.sandbox.tasks import Failure, Task, plan

ORDER = parse(b'{"model": "Qubico/flux1-dev-advanced", "task_type": "kontext", "input": {"prompt": "x", "image": "x"}}')


def planned(options: SandboxOptions, random: Random, **faults: float) -> Task:
    return plan(ORDER, now=1000.0, base="http://x", faults=faults, options=options, random=random)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, "0001-01-01T00:00:00Z"),
        (0.0, "1970-01-01T00:00:00Z"),
        (1768468811.5, "2026-01-15T09:20:11.5Z"),
        (1768468811.25, "2026-01-15T09:20:11.25Z"),
    ],
)
def test_times_are_printed_as_go_prints_them(moment: float | None, text: str) -> None:
    assert go_time(moment) == text


def test_times_may_be_given_at_plus_eight() -> None:
    assert go_time(1768468811.5, shanghai=True) == "2026-01-15T17:20:11.5+08:00"


@pytest.mark.parametrize(
    ("burst", "allowed"),
    [pytest.param(0.0, 1, id="one at a time"), pytest.param(1.0, 10, id="a second"), pytest.param(0.5, 5, id="half")],
)
def test_a_bucket_lets_its_burst_through_and_then_the_rate(burst: float, allowed: int) -> None:
    limit = RateLimit(per_second=10, burst=burst)
    assert sum(limit.allows(50.0) for _ in range(100)) == allowed
    assert [limit.allows(50.05), limit.allows(50.1001), limit.allows(50.1002)] == [False, True, False]
    assert sum(limit.allows(50.1001 + second / 1000) for second in range(10_000)) in (99, 100)


def test_a_rate_of_zero_is_no_limit() -> None:
    limit = RateLimit(per_second=0, burst=1)
    assert all(limit.allows(1.0) for _ in range(10_000))


def test_latencies_follow_the_seed_and_the_median() -> None:
    options = SandboxOptions(latency=30, latency_sigma=0.5, wait=2)

    def runs(seed: int) -> list[float]:
        random = Random(seed)
        return [task.ended - task.started for task in (planned(options, random) for _ in range(2000))]

    assert runs(1) == runs(1)
    assert runs(1) != runs(2)
    assert median(runs(1)) == pytest.approx(30, rel=0.1)
    assert max(runs(1)) > 60


def test_a_task_goes_through_its_states_by_the_clock_alone() -> None:
    options = SandboxOptions(latency=10, latency_sigma=0, wait=5, paint="plain")
    task = planned(options, Random(1), staged=1)
    times = (1000.0, 1009.9, 1010.0, 1014.9, 1015.0, 1024.9, 1025.0)
    states = ["staged", "staged", "pending", "pending", "processing", "processing", "completed"]
    assert [task.status(moment) for moment in times] == states


def test_a_task_ends_no_sooner_than_its_picture_is_painted() -> None:
    task = planned(SandboxOptions(latency=10, latency_sigma=0, wait=0), Random(1))
    assert task.status(2000.0) == "processing"
    task.finish(2000.0, None)
    assert (task.status(2000.0), task.ended) == ("completed", 2000.0)


def test_a_bad_picture_ends_the_task_at_once() -> None:
    task = planned(SandboxOptions(latency=1000), Random(1))
    task.finish(1002.0, Failure("no", "no"))
    assert task.status(1002.0) == "failed"


def test_a_stuck_task_has_no_end() -> None:
    assert planned(SandboxOptions(), Random(1), stuck=math.inf).status(1e12) == "processing"


def test_a_fault_has_as_many_times_as_the_word_says() -> None:
    task = planned(SandboxOptions(), Random(1), get_500_once=2, truncated=math.inf)
    assert [task.spend("get_500_once") for _ in range(4)] == [True, True, False, False]
    assert all(task.spend("truncated") for _ in range(100))
    assert not task.spend("gone")
