"""Which status may follow which: the table that the scripts are driven against, and the drawing of it in the docs."""

import re
from pathlib import Path

from edits.models import FINAL, EditStatus
from tests.statuses import FOLLOWERS, may_follow

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"


def test_the_drawing_shows_the_table():
    drawn = re.findall(r"^    ([a-z]+) --> ([a-z]+)", PAGE.read_text(), re.MULTILINE)
    assert set(drawn) == {(before, after) for before, following in FOLLOWERS.items() for after in following}


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
