"""Reads are few and well timed: near the floor of theory, evenly later when short, soon right after a shift."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edits.pacing import pace as pacing
from edits.pacing.pace import Pace, Took

ages = st.floats(0, 7 * 86_400, allow_nan=False)
took = st.builds(Took, wait=st.floats(0, 3600), run=st.floats(0, 3600), called_back=st.booleans())


def learned(draw, *, number=300, called_back=False, wait=1.5):
    chance = random.Random(4)
    return Pace.learned([Took(wait, max(0.1, draw(chance)), called_back=called_back) for _ in range(number)])


def reads_and_lag(pace, draw, *, tasks=400, wait=1.5):
    """Means over tasks whose times are drawn; every read that finds one running learns when it started."""
    chance, reads, lag = random.Random(5), 0, 0.0
    for _ in range(tasks):
        ends = wait + max(0.1, draw(chance))
        age, asked = pace.first_look(), 1
        while age < ends:
            age += pace.next_look(age, running=age - wait if age >= wait else None)
            asked += 1
        reads, lag = reads + asked, lag + age - ends
    return reads / tasks, lag / tasks


def alike(chance):
    return chance.gauss(30, 3)


def spread(chance):
    return 30 * math.exp(chance.gauss(-0.125, 0.5))


@settings(max_examples=40)
@given(
    seen=st.lists(took, max_size=30), age=ages, running=st.none() | ages, throttle=st.floats(1, pacing.MOST_THROTTLE)
)
def test_whatever_was_seen_a_gap_is_never_shorter_than_the_shortest_and_never_endless(seen, age, running, throttle):
    gap = Pace.learned(seen).throttled(throttle).next_look(age, running=running)
    assert (
        pacing.SHORTEST_GAP <= gap <= 3600 * 24 * 7
    )  # what took long is looked at when it took twice as long, at last
    assert math.isfinite(gap)


def test_tasks_that_take_alike_are_found_within_a_lag_of_two_percent_at_few_reads():
    reads, lag = reads_and_lag(learned(alike), alike)
    assert lag < 0.6
    assert reads < 6.7


@pytest.mark.parametrize(("draw", "floor"), [(alike, 0.21), (spread, 0.73)])
def test_reads_are_near_the_floor_of_theory_at_equal_lag(draw, floor):
    reads, lag = reads_and_lag(learned(draw), draw)
    assert reads < 1.1 * (floor * 31.5 / (2 * lag) + 0.5)


def test_short_reads_stretch_all_gaps_alike():
    pace = learned(alike)
    reads, lag = reads_and_lag(pace, alike)
    fewer, later = reads_and_lag(pace.throttled(2), alike)
    assert fewer < 0.65 * reads
    assert lag * 1.5 < later < lag * 2.5


def test_while_callbacks_come_nearly_all_tasks_are_read_once():
    waiting = learned(alike, called_back=True)
    chance = random.Random(6)
    early = [ends for ends in (1.5 + alike(chance) for _ in range(1000)) if ends < waiting.first_look()]
    assert len(early) > 960


def test_callbacks_that_stop_coming_are_not_waited_for():
    latest = [Took(1.5, 30)] * 30 + [Took(1.5, 30, called_back=True)] * 100
    assert Pace.learned(latest).called_back < pacing.TRUSTED


def test_a_provider_that_became_slower_or_faster_is_believed_after_some_tasks():
    for before, now in ((15, 30), (30, 15), (30, 40)):
        chance = random.Random(7)
        old = [Took(1.5, chance.gauss(before, before / 10)) for _ in range(300)]
        new = [Took(1.5, chance.gauss(now, now / 10)) for _ in range(30)]
        assert Pace.learned(new + old).runs.mean == pytest.approx(now, rel=0.1)
        assert Pace.learned(new[:3] + old).runs.mean == pytest.approx(before, rel=0.1)


def test_a_task_that_hangs_is_read_more_and_more_seldom():
    pace, age, reads = learned(alike), 60.0, 0
    while age < 900:
        age += pace.next_look(age, running=age - 1.5)
        reads += 1
    assert reads < 70


def test_a_task_seen_waiting_is_expected_after_a_whole_run():
    pace = learned(alike)
    assert pace.next_look(20, running=None) > 15
    assert pace.next_look(20, running=18.5) < 10


@pytest.mark.parametrize("mean", [4, 8, 16])
def test_the_lag_of_short_tasks_is_as_small_a_share_of_them(mean):
    def draw(chance):
        return chance.gauss(mean, mean / 10)

    reads, lag = reads_and_lag(learned(draw), draw)
    assert lag < 0.025 * mean + pacing.SHORTEST_GAP / 4
    assert reads < 8


def test_few_reads_are_as_near_the_floor_as_many():
    reads, lag = reads_and_lag(learned(alike).throttled(4), alike)
    assert reads < 2
    assert reads < 0.21 * 31.5 / (2 * lag) + 0.5


def test_looks_are_found_once_and_then_looked_up():
    pace = learned(alike)
    pace.next_look(25.0, running=23.5)
    (found,) = pace._poll_times.values()
    for running in (0.5, 20.0, 31.0):
        pace.throttled(1.01).next_look(running + 1.5, running=running)
    assert list(pace._poll_times.values()) == [found]
    pace.throttled(2.0).next_look(25.0, running=23.5)
    assert len(pace._poll_times) == 2


def test_tasks_that_wait_for_long_share_looks():
    pace = learned(alike, wait=40)
    for age in range(1, 400):
        pace.next_look(float(age), running=None)
    assert len(pace._poll_times) < 50


def followed(throttle, *, late, seconds):
    for _ in range(seconds):
        throttle = pacing.throttle(throttle, late=late, elapsed=1.0)
    return throttle


def test_the_stretch_grows_while_reads_are_late_and_goes_back_to_one():
    assert followed(1.0, late=pacing.LATE, seconds=300) == pytest.approx(math.e, rel=0.05)
    assert pacing.throttle(3.0, late=0.0, elapsed=0.0) == 3
    assert followed(3.0, late=0.0, seconds=300) == pytest.approx(1.0, abs=0.02)
    assert followed(1.0, late=9999, seconds=9999) == pytest.approx(pacing.MOST_THROTTLE)


def test_processes_that_started_apart_stretch_alike():
    early, late = (followed(throttle, late=0.4, seconds=240) for throttle in (5.0, 1.0))
    assert early == pytest.approx(late, rel=0.05)


def test_a_first_claim_that_finds_reads_overdue_does_not_stretch_at_once():
    assert pacing.throttle(1.0, late=30.0, elapsed=86_400.0) < 1.1
    assert pacing.throttle(5.0, late=0.0, elapsed=86_400.0) == pytest.approx(1.0)


def test_a_task_that_nobody_waits_for_is_read_by_the_minute_and_then_by_the_half_hour():
    assert pacing.abandoned_look(0) == 60
    assert pacing.abandoned_look(3 * 3600) == 300
    assert pacing.abandoned_look(86_400) == 1800
