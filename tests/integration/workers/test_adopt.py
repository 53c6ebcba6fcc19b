"""Adopt: the task of a lost answer is found by its token, in the history or because a callback names it."""

import pytest

from edits.models import CostState, EditStatus, Step, Wait
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.lost import looked, lost
from tests.integration.workers.rounds import Rounds


async def test_the_task_of_a_dropped_answer_is_found_by_its_token(rounds: Rounds) -> None:
    edit_id = await lost(rounds)
    for _ in range(3):
        await rounds.accept("somebody else's")
    await rounds.run(Step.SUBMIT)
    await looked(rounds, edit_id)
    edit = await rounds.edit(edit_id)
    row = rounds.sandbox.ledger()["tasks"][0]
    assert (edit.status, edit.task_id, edit.tasks_bought) == (EditStatus.PROCESSING, row["task_id"], 1)
    assert edit.cost_state is CostState.CHARGED
    place = await rounds.place(edit_id)
    assert place.name == "poll"
    assert place.due <= 0
    assert (await rounds.waits(edit_id))[-1] == Wait.ANSWER_LOST
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
    assert rounds.bought() == 4


async def test_the_token_is_found_in_the_callback_address_too(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__WEBHOOKS="true") as rounds:
        edit_id = await lost(rounds)
        await looked(rounds, edit_id)
        assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING


async def test_a_submit_that_never_answered_for_its_claim_is_looked_for(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    await rounds.claim_one(Step.SUBMIT)  # and its worker dies
    assert await rounds.run(Step.ADOPT) == []
    await rounds.wait(41)
    claim, _ = await rounds.claim_one(Step.ADOPT)
    assert claim.id == edit_id
    assert (await rounds.edit(edit_id)).waiting_for is Wait.ANSWER_LOST
    assert await rounds.run(Step.SUBMIT) == []


async def test_the_history_may_be_late(rounds: Rounds) -> None:
    rounds.sandbox.options(history_lag=10)
    edit_id = await lost(rounds)
    assert await looked(rounds, edit_id) > 0
    await rounds.reach(edit_id, EditStatus.PROCESSING)
    assert rounds.bought() == 1


async def test_a_callback_is_believed_after_the_task_was_read_and_shows_the_token(rounds: Rounds) -> None:
    rounds.sandbox.options(history_lag=1000)
    edit_id = await lost(rounds)
    (row,) = rounds.sandbox.ledger()["tasks"]
    await rounds.clients.repository.nudge(edit_id, attempt=1, task_id=row["task_id"])
    assert (await rounds.place(edit_id)).due <= 0
    await rounds.run(Step.ADOPT)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.task_id) == (EditStatus.PROCESSING, row["task_id"])


@pytest.mark.parametrize("claimed", ["another edit's", "nobody's"])
async def test_a_callback_that_names_a_wrong_task_changes_nothing(claimed: str, rounds: Rounds) -> None:
    other = await rounds.accept("another")
    await rounds.run(Step.SUBMIT)
    wrong = (await rounds.edit(other)).task_id if claimed == "another edit's" else "00000000-none"
    edit_id = await lost(rounds)
    await rounds.clients.repository.nudge(edit_id, attempt=1, task_id=str(wrong))
    await rounds.run(Step.ADOPT)
    edit = await rounds.edit(edit_id)
    right = rounds.sandbox.ledger()["tasks"][1]["task_id"]
    assert (edit.status, edit.task_id) == (EditStatus.PROCESSING, right)
    assert (await rounds.edit(other)).tasks_bought == 1
