"""Distributions of times: what is drawn from them has the mean, the quantiles and the hazard that they say."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits.times import BOUNDS, BUCKETS, Times

seconds = st.floats(0, 7200, allow_nan=False)
seen = st.lists(st.tuples(seconds, st.floats(0.01, 1)), max_size=60)


def of(draw, number=400):
    chance = random.Random(3)
    return Times.seen([(draw(chance), 1.0) for _ in range(number)], guess=8)


@given(seen=seen, age=seconds, step=st.floats(0.001, 50))
def test_whatever_was_seen_a_gap_leads_forward_and_shares_add_up(seen, age, step):
    times = Times.seen(seen, guess=8)
    assert sum(times.shares) == pytest.approx(1)
    assert list(times.ended) == sorted(times.ended)
    assert list(times.clock) == sorted(times.clock)
    assert times.gap(age, step) >= 0 or age >= BOUNDS[-1]
    assert times.until_ended(0.01, age=age) >= 0


def test_mean_and_quantiles_are_those_of_what_was_seen():
    times = of(lambda chance: chance.gauss(30, 3))
    assert times.mean == pytest.approx(30, rel=0.03)
    assert times.quantile(0.5) == pytest.approx(30, rel=0.06)
    assert times.left(15) > 0.99
    assert times.left(60) < 0.01


def test_what_was_never_seen_is_not_excluded():
    always = Times.seen([(30.0, 1.0)] * 100, guess=8)
    assert 0 < always.left(60) < 0.01
    assert always.left(20) < 1


def test_disorder_is_little_where_times_are_alike_and_that_of_theory_where_they_are_random():
    alike = of(lambda chance: chance.gauss(30, 3))
    random_ = of(lambda chance: chance.expovariate(1 / 30), number=2000)
    assert alike.disorder**2 / alike.mean == pytest.approx(0.21, rel=0.25)
    assert random_.disorder**2 / random_.mean == pytest.approx(1.0, rel=0.15)


def test_gaps_are_short_where_many_end_and_long_where_none_does():
    two = of(lambda chance: chance.gauss(15, 1) if chance.random() < 0.5 else chance.gauss(45, 2))
    step = two.disorder / 20
    assert two.gap(22, step) > 3 * two.gap(15, step)
    assert two.gap(22, step) > 3 * two.gap(45, step)


def test_of_those_left_none_ended_before():
    later = of(lambda chance: chance.gauss(30, 3)).after(33)
    assert later.quantile(0.001) >= 31
    assert later.mean > 33


def test_a_sum_has_the_sum_of_the_means():
    waits, runs = of(lambda chance: chance.gauss(10, 2)), of(lambda chance: chance.gauss(30, 3))
    assert waits.plus(runs).mean == pytest.approx(waits.mean + runs.mean, rel=0.06)


def test_an_age_beyond_all_buckets_is_no_trouble():
    times = Times.seen([], guess=8)
    assert len(times.ended) == BUCKETS + 1
    assert times.after(10 * BOUNDS[-1]).mean > 0
    assert times.quantile(1.0) <= BOUNDS[-1]
