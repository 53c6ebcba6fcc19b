"""Reads are few and well timed: near the floor of theory, evenly later when short, soon right after a shift."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits import pacing
from edits.pacing import Pace, Took

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


@given(seen=st.lists(took, max_size=30), age=ages, running=st.none() | ages, stretch=st.floats(1, 200))
def test_whatever_was_seen_a_gap_is_never_shorter_than_the_shortest_and_never_endless(seen, age, running, stretch):
    gap = Pace.learned(seen).stretched(stretch).next_look(age, running=running)
    assert pacing.SHORTEST_GAP <= gap < 3600 * 24 * 7
    assert math.isfinite(gap)


def test_tasks_that_take_alike_are_found_within_a_lag_of_two_percent_at_few_reads():
    reads, lag = reads_and_lag(learned(alike), alike)
    assert lag < 0.65
    assert reads < 7


@pytest.mark.parametrize(("draw", "floor"), [(alike, 0.21), (spread, 0.73)])
def test_reads_are_near_the_floor_of_theory_at_equal_lag(draw, floor):
    reads, lag = reads_and_lag(learned(draw), draw)
    assert reads < 1.3 * (floor * 31.5 / (2 * lag) + 0.5)


def test_short_reads_stretch_all_gaps_alike():
    pace = learned(alike)
    reads, lag = reads_and_lag(pace, alike)
    fewer, later = reads_and_lag(pace.stretched(2), alike)
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


def test_the_stretch_grows_while_reads_are_late_and_goes_back_to_one():
    stretch = 1.0
    for _ in range(20):
        stretch = pacing.stretch(stretch, late=2.0, elapsed=1.0)
    assert stretch == pytest.approx(5, rel=0.05)
    assert pacing.stretch(stretch, late=0.0, elapsed=0.0) == stretch
    for _ in range(100):
        stretch = pacing.stretch(stretch, late=0.0, elapsed=1.0)
    assert stretch == pytest.approx(1.0)
    assert pacing.stretch(150, late=9999, elapsed=99) <= pacing.MOST_STRETCH


def test_a_task_that_nobody_waits_for_is_read_by_the_minute_and_then_by_the_half_hour():
    assert pacing.abandoned_look(0) == 60
    assert pacing.abandoned_look(3 * 3600) == 300
    assert pacing.abandoned_look(86_400) == 1800
