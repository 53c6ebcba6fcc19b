"""Which status may follow which: every pair, against a table written down a second time on purpose."""

import itertools

import pytest

from edits.lifecycle import FOLLOWERS, may_follow
from edits.models import FINAL, EditStatus

ALLOWED = """
queued      -> submitting processing canceled failed
submitting  -> processing queued failed
processing  -> storing queued failed
storing     -> succeeded processing queued failed
failed      -> queued submitting processing
succeeded   ->
canceled    ->
"""
TABLE = {
    before.strip(): set(after.split())
    for before, _, after in (line.partition("->") for line in ALLOWED.split("\n") if line)
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(EditStatus, EditStatus)))
def test_each_pair_of_statuses_is_allowed_or_not(before: EditStatus, after: EditStatus):
    assert may_follow(before, after) == (before is after or after.value in TABLE[before.value])


def test_every_status_has_its_followers():
    assert set(FOLLOWERS) == set(EditStatus)


def test_what_ended_stays_ended_but_for_a_failure_that_is_retried():
    assert {status for status in FINAL if FOLLOWERS[status]} == {EditStatus.FAILED}


def test_every_unfinished_edit_can_fail_and_can_reach_success():
    for status in set(EditStatus) - FINAL:
        assert may_follow(status, EditStatus.FAILED)
        assert EditStatus.SUCCEEDED in _reachable(status)


def test_nothing_is_canceled_but_what_is_queued():
    assert [status for status in EditStatus if EditStatus.CANCELED in FOLLOWERS[status]] == [EditStatus.QUEUED]


def _reachable(status: EditStatus) -> set[EditStatus]:
    found, left = set[EditStatus](), {status}
    while left:
        following = FOLLOWERS[left.pop()]
        left |= following - found
        found |= following
    return found
