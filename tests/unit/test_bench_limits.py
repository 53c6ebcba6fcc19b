"""How the benchmark of limits reads what the stand-in counted."""

import pytest

from benchmarks.limits import NEVER, back_after, closest, share


@pytest.mark.parametrize(
    ("creates", "latest", "elapsed", "used"),
    [
        pytest.param(101, 20.0, 20.05, 1.0, id="the window cuts a gap off"),
        pytest.param(51, 10.0, 20.0, 0.5, id="the second half was empty"),
        pytest.param(1, 0.0, 20.0, 0.0, id="one says nothing"),
    ],
)
def test_the_share_used_is_that_of_the_gaps(creates: int, latest: float, elapsed: float, used: float) -> None:
    assert share(creates, latest, elapsed, rate=5.0) == pytest.approx(used)


def test_probes_are_told_from_what_was_refused_at_once() -> None:
    assert closest([0.0, 0.01, 0.2, 1.1, 3.2]) == pytest.approx(1.1)
    assert closest([0.0, 0.1]) == NEVER
    assert closest([0.0, 1.0, 1.3]) == pytest.approx(0.3)


def test_the_rate_is_back_in_the_first_second_that_has_it() -> None:
    assert back_after([0, 0, 0, 20, 40, 48, 50], rate=50, closed_for=2.5) == 2.5
    assert back_after([50, 0, 0, 20], rate=50, closed_for=2.5) == NEVER
