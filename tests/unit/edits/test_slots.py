"""Where a slot is on our clock: never before its moment, and soon close to it, however slow the answers are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits.pacing.slots import SlotClock

OFFSET = 1000.0
"""Our clock less the server's, in these tests."""


def told(clock: SlotClock, at: float, *, asking: float, answering: float) -> float:
    """At `at` of the server's time, with so many seconds for the way there and back. Returns the offset."""
    stood = int(at * 1000)
    return clock.heard(stood, sent=at + OFFSET - asking, received=at + OFFSET + answering) - stood / 1000


delays = st.floats(0, 3)


@given(st.lists(st.tuples(st.floats(0, 2), delays, delays), min_size=1))
def test_no_slot_is_before_its_moment(looks: list[tuple[float, float, float]]) -> None:
    clock, at = SlotClock(), 0.0
    for passed, asking, answering in looks:
        at += passed
        assert told(clock, at, asking=asking, answering=answering) - OFFSET >= -1e-6


def test_one_quick_answer_tells_where_the_slots_of_slow_ones_are() -> None:
    clock = SlotClock()
    told(clock, 1.0, asking=0.001, answering=0.001)
    assert told(clock, 2.0, asking=0.001, answering=0.4) - OFFSET < 0.005


def test_a_clock_that_was_set_is_followed_at_once() -> None:
    clock = SlotClock()
    told(clock, 1.0, asking=0.001, answering=0.001)
    assert clock.heard(3_601_000, sent=OFFSET + 2, received=OFFSET + 2.01) == pytest.approx(OFFSET + 2.01)
