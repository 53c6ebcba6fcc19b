"""What edits took, read from the counters of their waits."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits.db.constants import WAIT_BUCKETS
from edits.estimates import quantile
from edits.models import Wait

RUN = Wait.PROVIDER_RUN
LIMITS = (*WAIT_BUCKETS, "inf")


def counted(**buckets: int) -> dict[str, int]:
    return {f"wait:{RUN}:{limit.removeprefix('up_to_')}": number for limit, number in buckets.items()}


@pytest.mark.parametrize(
    ("counters", "share", "seconds"),
    [
        pytest.param({}, 0.5, 0, id="nothing was seen"),
        pytest.param(counted(up_to_50=4), 0.5, 0.025, id="half of the first bucket"),
        pytest.param(counted(up_to_10000=20), 0.5, 7.5, id="halfway between 5 and 10 s"),
        pytest.param(counted(up_to_10000=20), 0.9, 9.5, id="nine tenths of the way"),
        pytest.param(counted(up_to_1000=9, up_to_10000=1), 0.9, 1, id="exactly at a limit"),
        pytest.param(counted(up_to_1000=1, up_to_10000=1), 0.9, 9, id="over two buckets"),
        pytest.param(counted(inf=5), 0.5, 3600, id="longer than all buckets"),
    ],
)
def test_a_share_of_all_waits_took_no_longer(counters: dict[str, int], share: float, seconds: float) -> None:
    assert quantile(counters, RUN, share) == pytest.approx(seconds)


@given(numbers=st.lists(st.integers(0, 50), min_size=len(LIMITS), max_size=len(LIMITS)))
def test_larger_shares_never_take_less(numbers: list[int]) -> None:
    counters = {f"wait:{RUN}:{limit}": number for limit, number in zip(LIMITS, numbers, strict=True)}
    taken = [quantile(counters, RUN, share / 20) for share in range(1, 21)]
    assert all(shorter <= longer + 1e-9 for shorter, longer in pairwise(taken))
    assert 0 <= taken[0] <= taken[-1] <= 3600
