"""How long before try n of each kind of trouble, when to give up, and who lets a task be bought again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits import retry
from edits.models import ErrorKind
from edits.retry import Backoff

MIDDLE = 0.5
"""The jitter at which a delay is the plain one."""

TABLE: list[tuple[str, list[float | None]]] = [
    ("READ", [1, 2, 4, 8, 16, 30, 30, 30]),
    ("COPY", [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
    ("KEEP", [1, 2, 4, 8, 16, 32, 60, 60]),
    ("FILE_GONE", [4, 8, 16, 32, 60, None]),
    ("TASK_UNKNOWN", [1, 2, 4, 8, 16, 30, 30, None]),
    ("NO_ADDRESS", [2, None]),
    ("BROKEN", [5, 10, 20, 40, 60, None]),
    ("ADOPT", [2, 3, 4.5, 6.75, 10.125, 15, 15]),
]


@pytest.mark.parametrize(
    ("name", "tried", "delay"),
    [pytest.param(name, n, delay, id=f"{name} {n}") for name, row in TABLE for n, delay in enumerate(row)],
)
def test_each_try_of_each_trouble_has_its_delay(name: str, tried: int, delay: float | None):
    backoff: Backoff = getattr(retry, name)
    assert backoff.delay(tried, lambda: MIDDLE) == (None if delay is None else pytest.approx(delay))


def test_the_table_names_every_back_off():
    assert {name for name, value in vars(retry).items() if isinstance(value, Backoff)} == {name for name, _ in TABLE}


@pytest.mark.parametrize(("name", "seconds"), [("FILE_GONE", 120), ("TASK_UNKNOWN", 91), ("NO_ADDRESS", 2)], ids=str)
def test_what_is_given_up_is_given_up_after_its_time(name: str, seconds: float):
    backoff: Backoff = getattr(retry, name)
    tried, waited = 0, 0.0
    while (delay := backoff.delay(tried, lambda: MIDDLE)) is not None:
        tried, waited = tried + 1, waited + delay
    assert waited == pytest.approx(seconds)


@given(tried=st.integers(0, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_a_delay_stays_within_a_quarter_of_the_plain_one(tried: int, jitter: float):
    plain = retry.READ.delay(tried, lambda: MIDDLE)
    found = retry.READ.delay(tried, lambda: jitter)
    assert plain is not None
    assert found is not None
    assert 0.75 * plain <= found <= 1.25 * plain <= 1.25 * retry.READ.most


@given(tried=st.integers(0, 10_000))
def test_an_outage_never_gives_up(tried: int):
    for backoff in (retry.READ, retry.COPY, retry.KEEP, retry.ADOPT):
        assert backoff.delay(tried, lambda: 0) is not None


def test_asking_again_may_help_but_for_what_would_be_refused_again():
    assert {ErrorKind.REJECTED, ErrorKind.MODERATED, ErrorKind.EXPIRED} == retry.FINAL_FAILURES


def test_files_are_fetched_for_as_long_as_the_provider_keeps_them():
    assert timedelta(days=3) == retry.FILE_LIFE


@pytest.mark.parametrize("kind", list(ErrorKind))
@pytest.mark.parametrize(("so_far", "limit"), [(0, 0), (0, 1), (1, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("asked", [True, False])
def test_a_task_is_bought_again_only_by_somebodys_leave(kind: ErrorKind, so_far: int, limit: int, asked: bool):
    by = retry.buys_again(kind, asked=asked, automatic_so_far=so_far, automatic_limit=limit)
    if asked:
        assert by == "asked"
    elif kind is ErrorKind.PROVIDER_FAILED and so_far < limit:
        assert by == "automatic"
    else:
        assert by is None
