"""What the benchmarks rest on: the floor is a floor, and every schedule finds every end."""

import pytest

from benchmarks import pacing
from benchmarks.shapes import SHAPES, STEADY


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_no_schedule_gets_below_the_floor(shape):
    tasks = shape.tasks(200, seed=3)
    for make, knobs in pacing.SCHEDULES.values():
        cost = pacing.cost(pacing.run(make(knobs[1]), tasks)[100:])
        assert cost.reads > 0.85 * shape.floor(cost.lag)
        assert cost.lag > 0


def test_the_same_seed_draws_the_same_tasks():
    assert STEADY.tasks(50, seed=9) == STEADY.tasks(50, seed=9) != STEADY.tasks(50, seed=8)


def test_a_short_budget_costs_some_lag_and_no_more():
    plenty, half = (pacing.short_of_reads(share, seconds=60) for share in (2.0, 0.5))
    assert half["reads"] < 0.8 * plenty["reads"]
    assert plenty["lag"] < half["lag"] < 5 * plenty["lag"]
