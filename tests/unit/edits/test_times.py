"""Distributions of times: what is drawn from them has the mean, the quantiles and the hazard that they say."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits.pacing.durations import BOUNDS, BUCKETS, Times, begin, bucket, nearest

seconds = st.floats(0, 7200, allow_nan=False)
seen = st.lists(st.tuples(seconds, st.floats(0.01, 1)), max_size=60)


def of(draw, number=400):
    chance = random.Random(3)
    return Times.seen([(draw(chance), 1.0) for _ in range(number)], guess=8)


def left(times, age):
    """Share that has not ended at this age."""
    return 1 - times.ended[bucket(age)]


@given(seen=seen, share=st.floats(0, 1))
def test_whatever_was_seen_shares_add_up_and_their_sums_only_grow(seen, share):
    times = Times.seen(seen, guess=8)
    assert sum(times.shares) == pytest.approx(1)
    assert min(times.shares) >= 0
    for sums in (times.ended, times.sums, times.squares):
        assert len(sums) == BUCKETS + 1
        assert list(sums) == sorted(sums)
    assert times.ended[times.bound(share)] <= share


def test_mean_and_quantiles_are_those_of_what_was_seen():
    times = of(lambda chance: chance.gauss(30, 3))
    assert times.mean == pytest.approx(30, rel=0.03)
    assert times.quantile(0.5) == pytest.approx(30, rel=0.06)
    assert left(times, 15) > 0.99
    assert left(times, 60) < 0.01


def test_what_was_never_seen_is_not_excluded():
    always = Times.seen([(30.0, 1.0)] * 100, guess=8)
    assert 0 < left(always, 60) < 0.01
    assert left(always, 20) < 1


def test_what_was_seen_is_spread_over_few_neighbors_and_no_further():
    two = of(lambda chance: chance.gauss(15, 1) if chance.random() < 0.5 else chance.gauss(45, 2))
    assert left(two, 20) - left(two, 38) < 0.01
    assert two.squares[-1] - two.mean**2 == pytest.approx(15**2 + (1 + 4) / 2, rel=0.05)


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 1.0, 30.0, 7000.0])
def test_the_nearest_bound_is_the_nearest(seconds):
    near = nearest(seconds)
    assert all(abs(begin(near) - seconds) <= abs(begin(i) - seconds) for i in (near - 1, near + 1) if 0 <= i <= BUCKETS)


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
