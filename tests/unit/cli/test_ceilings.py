"""Arithmetic of ceilings: the lowest one binds."""

from dataclasses import replace

import pytest

from cli import ceilings
from edits.ceilings import Ceilings

DEFAULTS = Ceilings(creates_per_second=5, reads_per_second=50, max_in_flight=20)


def test_the_defaults_are_bound_by_what_is_in_flight():
    said = ceilings.sentence(DEFAULTS)  # 20 tasks, 35 s each: 20 / 35 * 86,400 = 49,371
    assert said.startswith("49,000 edits a day; MAX_IN_FLIGHT binds")


@pytest.mark.parametrize(
    ("changed", "binds", "edits_a_day"),
    [
        pytest.param({"creates_per_second": 0.1}, "CREATES_PER_SECOND", 8_640, id="few creates"),
        pytest.param({"reads_per_second": 0.6}, "READS_PER_SECOND", 8_640, id="few reads, 6 an edit"),
        pytest.param({"max_in_flight": 1}, "MAX_IN_FLIGHT", 86_400 / 35, id="one at a time"),
    ],
)
def test_the_lowest_ceiling_binds(changed, binds, edits_a_day):
    assert ceilings.lowest(replace(DEFAULTS, **changed)) == (pytest.approx(edits_a_day), binds)


def test_the_assumptions_are_said():
    assert "35 s a task and 6 reads an edit" in ceilings.sentence(DEFAULTS)


def test_a_ceiling_below_one_edit_a_day_is_told_as_none():
    assert ceilings.sentence(replace(DEFAULTS, creates_per_second=0.00001)).startswith("0 edits a day")
