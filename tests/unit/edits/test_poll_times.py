"""Poll times cost least in reads and lag together: none that are moved, left out or added make them cost less."""

import random
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edits.pacing.durations import Times, begin, bucket
from edits.pacing.poll_times import OUTLIVED, PollTimes

WORTH = 8.0
PARTS = 8


def times(draw, *, number=400):
    chance = random.Random(3)
    return Times.seen([(max(0.1, draw(chance)), 1.0) for _ in range(number)], guess=8)


def alike(chance):
    return chance.gauss(30, 3)


def two_kinds(chance):
    return chance.gauss(15, 1) if chance.random() < 0.5 else chance.gauss(45, 2)


def ages_of(looks):
    ages = [looks.gap(0.0)]
    while (gap := looks.gap(ages[-1])) is not None:
        ages.append(ages[-1] + gap)
    return ages


def cost(times, ages, *, worth=WORTH):
    """Reads and squared lags a task, of looks at these ages; the share of a bucket is spread evenly over it."""
    whole = 0.0
    for i, share in enumerate(times.shares):
        for part in range(PARTS if share else 0):
            at = begin(i) + (begin(i + 1) - begin(i)) * (part + 0.5) / PARTS
            if at < ages[-1]:
                n = bisect_left(ages, at)
                whole += share / PARTS * (n + 1 + worth * (ages[n] - at) ** 2)
    return whole


@pytest.mark.parametrize("draw", [alike, two_kinds])
def test_no_other_ages_cost_less(draw):
    of, chance = times(draw), random.Random(1)
    ages = ages_of(PollTimes.best(of, worth=WORTH))
    least = cost(of, ages)
    for spread in (0.1, 0.5, 2.0):
        for _ in range(10):
            others = sorted(chance.gauss(age, spread) for age in ages[:-1])
            assert cost(of, [*others, ages[-1]]) > 0.99 * least
    for i in range(len(ages) - 1):
        assert cost(of, ages[:i] + ages[i + 1 :]) > 0.99 * least
        assert cost(of, sorted([*ages, (ages[i] + ages[i + 1]) / 2])) > 0.99 * least


def test_looks_are_where_tasks_end_and_not_where_none_does():
    ages = ages_of(PollTimes.best(times(two_kinds), worth=WORTH))
    assert sum(11 < age < 22 for age in ages) >= 4
    assert sum(22 < age < 38 for age in ages) <= 1
    assert sum(38 < age < 52 for age in ages) >= 4


def test_the_less_a_lag_is_worth_the_fewer_and_the_later_looks_are():
    of = times(alike)
    rows = [ages_of(PollTimes.best(of, worth=WORTH / throttle**3)) for throttle in (0.5, 1, 2, 4, 20)]
    assert [len(ages) for ages in rows] == sorted((len(ages) for ages in rows), reverse=True)
    assert [ages[0] for ages in rows] == sorted(ages[0] for ages in rows)
    assert 1 - of.ended[bucket(rows[-1][0])] < 0.1  # hardly worth any: one look when nearly all have ended


def test_a_task_that_outlived_nearly_all_has_no_best_look():
    of = times(alike)
    last = begin(of.bound(1 - OUTLIVED))
    assert PollTimes.best(of, worth=WORTH).gap(last + 1) is None


def test_nothing_is_looked_at_before_it_may_be():
    looks = PollTimes.best(times(alike), worth=WORTH, not_before=33.0)
    assert looks.gap(0.0) == pytest.approx(33.0)
    assert looks.gap(32.0) == pytest.approx(1.0, abs=0.5)


@settings(max_examples=50)
@given(
    seen=st.lists(st.tuples(st.floats(0, 7200), st.floats(0.01, 1)), max_size=40),
    worth=st.floats(1e-3, 100),
    age=st.floats(0, 7200),
)
def test_whatever_was_seen_a_look_is_later_than_now_and_a_later_age_has_a_later_look(seen, worth, age):
    looks = PollTimes.best(Times.seen(seen, guess=8), worth=worth)
    assert list(looks.ages) == sorted(looks.ages)
    gap = looks.gap(age)
    assert gap is None or gap > 0
