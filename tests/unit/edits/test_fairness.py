"""The order within a tenant: by arrival, shifted by priority."""

import pytest

from edits import fairness
from edits.models import Priority

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("priority", "shift"), [(Priority.INTERACTIVE, -HOUR), (Priority.STANDARD, 0), (Priority.BULK, HOUR)]
)
def test_a_priority_is_an_arrival_at_another_time(priority: Priority, shift: int):
    assert fairness.arrival_shift(priority) == shift


def test_every_priority_has_its_shift():
    assert set(fairness.SHIFTS) == set(Priority)


def test_nothing_starves_for_longer_than_two_hours():
    shifts = [fairness.arrival_shift(priority) for priority in Priority]
    assert max(shifts) - min(shifts) == 2 * HOUR
