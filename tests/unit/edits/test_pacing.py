"""When to ask about a task again: soon while it is young, seldom when it is old, never in a loop without a pause."""

from hypothesis import given
from hypothesis import strategies as st

from edits import pacing

ages = st.floats(0, 7 * 86_400, allow_nan=False)


@given(age=ages)
def test_a_gap_is_never_too_short_nor_too_long(age: float):
    assert 0.25 <= pacing.SHORTEST_GAP <= pacing.next_look(age) <= pacing.LONGEST_GAP <= 3


@given(younger=ages, older=ages)
def test_gaps_grow_with_the_age_of_the_task(younger: float, older: float):
    low, high = sorted((younger, older))
    assert pacing.next_look(low) <= pacing.next_look(high)
    assert pacing.abandoned_look(low) <= pacing.abandoned_look(high)


def test_a_task_of_a_minute_costs_a_quarter_of_the_reads_that_the_shortest_gap_would():
    assert _reads(until=60, first=pacing.first_look(callbacks=False)) < 60 / pacing.SHORTEST_GAP / 4


def test_with_callbacks_the_first_look_can_wait():
    assert pacing.first_look(callbacks=True) > pacing.first_look(callbacks=False) > 0


def test_a_task_that_nobody_waits_for_is_read_by_the_minute_and_then_by_the_half_hour():
    assert pacing.abandoned_look(0) == 60
    assert pacing.abandoned_look(3 * 3600) == 300
    assert pacing.abandoned_look(86_400) == 1800


def _reads(*, until: float, first: float) -> int:
    age, reads = first, 1
    while age < until:
        age += pacing.next_look(age)
        reads += 1
    return reads
