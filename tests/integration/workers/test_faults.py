"""Under any fault of the provider, an edit ends with a documented kind, and only requested tasks are bought."""

import pytest

from edits.models import EditStatus, ErrorKind, Wait
from qubico.sandbox import faults
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds

SUCCEEDED = None
PAUSED = Wait.PROVIDER_ACCOUNT

ENDS: dict[str, tuple[ErrorKind | Wait | None, int]] = {
    "rejected": (ErrorKind.REJECTED, 0),
    "throttled": (SUCCEEDED, 1),
    "no_credit": (PAUSED, 0),
    "no_credit_400": (PAUSED, 0),
    "no_credit_500": (PAUSED, 0),
    "bad_key": (PAUSED, 0),
    # Answers that say nothing, and nobody else's task to show that the history is fresh: not provable either way.
    "refuse_503": (ErrorKind.SUBMISSION_UNKNOWN, 0),
    "drop_before": (ErrorKind.SUBMISSION_UNKNOWN, 0),
    "drop": (SUCCEEDED, 1),
    "hang": (SUCCEEDED, 1),
    "html_502": (SUCCEEDED, 1),
    "failed_create": (ErrorKind.PROVIDER_FAILED, 1),
    "failed_create_500": (ErrorKind.PROVIDER_FAILED, 1),
    "failed": (ErrorKind.PROVIDER_FAILED, 1),
    "failed_500": (ErrorKind.PROVIDER_FAILED, 1),
    "moderated": (ErrorKind.MODERATED, 1),
    "slow": (SUCCEEDED, 1),
    "stuck": (ErrorKind.PROVIDER_TIMEOUT, 1),
    "staged": (SUCCEEDED, 1),
    "not_visible_once": (SUCCEEDED, 1),
    "get_500_once": (SUCCEEDED, 1),
    "get_429_once": (SUCCEEDED, 1),
    "odd": (SUCCEEDED, 1),
    "odd_code": (SUCCEEDED, 1),
    "no_address": (ErrorKind.RESULT_UNAVAILABLE, 1),
    "no_address_once": (SUCCEEDED, 1),
    "base64": (SUCCEEDED, 1),
    "jpg": (SUCCEEDED, 1),
    "webp": (SUCCEEDED, 1),
    "truncated": (ErrorKind.RESULT_INVALID, 1),
    "cut": (SUCCEEDED, 1),
    "wrong_type": (ErrorKind.RESULT_INVALID, 1),
    "wrong_type_html": (ErrorKind.RESULT_UNAVAILABLE, 1),
    "huge": (ErrorKind.RESULT_INVALID, 1),
    "gone": (ErrorKind.RESULT_UNAVAILABLE, 1),
    "file_503": (SUCCEEDED, 1),
    "redirect": (ErrorKind.RESULT_UNAVAILABLE, 1),
    "callback_lost": (SUCCEEDED, 1),
    "callback_double": (SUCCEEDED, 1),
    "callback_early": (SUCCEEDED, 1),
}


def test_the_table_knows_every_fault_word() -> None:
    assert set(ENDS) == set(faults.TABLE)


@pytest.mark.parametrize("fault", ENDS)
async def test_an_edit_ends_as_it_should_with(fault: str, open_rounds: OpenRounds) -> None:
    kind, bought = ENDS[fault]
    timeouts = {"create_timeout": 0.5} if fault == "hang" else {}
    async with open_rounds(leases=timeouts, RETOUCH_EDITS__DEADLINE="60s") as rounds:
        rounds.sandbox.options(paint="small")
        edit_id = await rounds.accept(f"winter [fault:{fault}]")
        edit = await rounds.finish(edit_id, rounds=10 if kind is PAUSED else 200)
        if kind is PAUSED:
            assert (edit.status, edit.waiting_for) == (EditStatus.QUEUED, PAUSED)
            assert (await rounds.place(edit_id)).name == "queue"
        elif kind is SUCCEEDED:
            assert edit.status is EditStatus.SUCCEEDED, edit
            assert edit.result is not None
        else:
            assert edit.error is not None, edit
            assert edit.error.kind is kind
            assert edit.result is None
        assert (rounds.bought(), edit.tasks_bought) == (bought, bought)
        assert edit.attempt == 1
        await _every_moment_is_named(rounds, edit_id)


async def _every_moment_is_named(rounds: Rounds, edit_id: str) -> None:
    timeline = await rounds.clients.claims.timeline(edit_id)
    assert all(event.wait for event in timeline[1:]), timeline
    assert all(event.duration_ms >= 0 for event in timeline)
    lasted = timeline[-1].at - timeline[0].at
    assert sum(event.duration_ms for event in timeline) == round(lasted.total_seconds() * 1000)
