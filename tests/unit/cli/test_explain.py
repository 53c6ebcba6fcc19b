"""A sentence for every wait and every end."""

from datetime import UTC, datetime, timedelta

import pytest

from cli import explain
from cli.views import Edit
from edits.models import EditStatus, Wait

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def shown(**changes):
    raw = {"id": "edit_1", "status": "queued", "livemode": True, "created_at": (NOW - timedelta(minutes=2)).isoformat()}
    return Edit.model_validate(raw | changes)


@pytest.mark.parametrize("wait", list(Wait))
def test_every_wait_has_a_sentence(wait):
    edit = shown(status="processing", waiting={"for": wait.value, "since": (NOW - timedelta(seconds=12)).isoformat()})
    said = explain.sentence(edit, now=NOW)
    assert explain.WAITS[wait] in said
    assert said.endswith(", for 12 s now.")


@pytest.mark.parametrize("status", [status for status in EditStatus if not status.is_final])
def test_every_unfinished_status_has_a_sentence_without_a_wait(status):
    assert explain.STATUSES[status] in explain.sentence(shown(status=status.value), now=NOW)


def test_a_wait_that_is_new_to_the_program_is_named():
    edit = shown(waiting={"for": "moon_phase", "since": None})
    assert explain.sentence(edit, now=NOW) == "edit_1 is queued: it waits for moon phase."


def test_a_success_says_how_long_it_took():
    edit = shown(status="succeeded", finished_at=NOW.isoformat())
    assert explain.sentence(edit, now=NOW) == "edit_1 succeeded after 2 min 0 s."


def test_a_failure_says_why_and_whether_to_try_again():
    edit = shown(status="failed", error={"kind": "moderated", "message": "refused", "retryable": False})
    assert explain.sentence(edit, now=NOW) == "edit_1 failed: moderated: refused (a retry would fail again)."


def test_a_canceled_edit_says_that_nothing_was_bought():
    assert "nothing was bought" in explain.sentence(shown(status="canceled"), now=NOW)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (-3, "0.0 s"), (9.94, "9.9 s"), (42, "42 s"), (150, "2 min 30 s"), (7260, "2 h 1 min")],
)
def test_durations_show_what_matters(seconds, said):
    assert explain.duration(timedelta(seconds=seconds)) == said
