"""Adopt: nothing is bought again unless the history proves that nothing was bought."""

import pytest

from edits.models import CostState, EditStatus, ErrorKind
from edits.schedule import Step
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.lost import PATIENCE, looked, lost, witness
from tests.integration.workers.rounds import Rounds


@pytest.mark.parametrize(
    "trouble", [{"outage": "refuse_503"}, {"api_key": "another-key"}, {"reads_per_second": 0.001, "retry_after": 1}]
)
async def test_a_history_that_cannot_be_read_is_looked_at_again(trouble: dict[str, object], rounds: Rounds) -> None:
    edit_id = await lost(rounds, "drop_before")
    await witness(rounds)
    rounds.sandbox.options(**trouble)
    await rounds.wait(PATIENCE)
    gap = await looked(rounds, edit_id)
    assert gap > 0
    assert (await rounds.edit(edit_id)).status is EditStatus.SUBMITTING
    assert rounds.bought() == 1


async def test_what_provably_was_not_bought_is_sent_again_once(rounds: Rounds) -> None:
    edit_id = await lost(rounds, "drop_before")
    await witness(rounds)
    await rounds.wait(PATIENCE)
    await looked(rounds, edit_id)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.attempt, edit.cost_state) == (EditStatus.QUEUED, 1, CostState.RESERVED)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.tasks_bought, rounds.bought()) == (EditStatus.SUCCEEDED, 1, 2)


async def test_nothing_is_proved_before_the_quiet_period_is_over(rounds: Rounds) -> None:
    edit_id = await lost(rounds, "drop_before")
    await witness(rounds)
    while await rounds.now() - int((await rounds.fields(edit_id))["sa"]) / 1000 < 55:
        assert await looked(rounds, edit_id) > 0
    assert rounds.bought() == 1


async def test_a_task_of_ours_that_only_a_fast_clock_calls_later_is_no_witness(rounds: Rounds) -> None:
    """The provider's clock is a minute ahead: its `created_at` says nothing about ours."""
    rounds.sandbox.advance(60)
    rounds.sandbox.options(history_lag=300)  # too late for time to vouch
    await rounds.accept("bought just before")
    await rounds.run(Step.SUBMIT)
    edit_id = await lost(rounds, "drop_before")
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, rounds.bought()) == (ErrorKind.SUBMISSION_UNKNOWN, 1)


async def test_without_a_witness_nothing_is_bought_again(rounds: Rounds) -> None:
    edit_id = await lost(rounds, "drop_before")
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, edit.error.retryable) == (ErrorKind.SUBMISSION_UNKNOWN, True)
    assert (edit.cost_state, rounds.bought()) == (CostState.UNKNOWN, 0)


async def test_a_task_sent_before_the_lost_one_is_no_witness(rounds: Rounds) -> None:
    rounds.sandbox.options(history_lag=300)
    await rounds.accept("earlier")
    await rounds.run(Step.SUBMIT)
    edit_id = await lost(rounds, "drop_before")
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, rounds.bought()) == (ErrorKind.SUBMISSION_UNKNOWN, 1)


async def test_by_setting_what_provably_was_not_bought_is_not_sent_again(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__UNKNOWN_SUBMIT="adopt_or_fail") as rounds:
        edit_id = await lost(rounds, "drop_before")
        await witness(rounds)
        await rounds.wait(PATIENCE)
        await looked(rounds, edit_id)
        edit = await rounds.edit(edit_id)
        assert edit.error is not None
        assert (edit.error.kind, edit.cost_state) == (ErrorKind.SUBMISSION_UNKNOWN, CostState.RELEASED)
        assert rounds.bought() == 1


async def test_by_that_setting_a_task_that_is_there_is_still_taken(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__UNKNOWN_SUBMIT="adopt_or_fail") as rounds:
        edit = await rounds.finish(await lost(rounds))
        assert (edit.status, rounds.bought()) == (EditStatus.SUCCEEDED, 1)
