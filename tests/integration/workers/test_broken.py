"""An unhandled error in a step ends an edit after a few attempts: none hangs, and nothing is bought again."""

import pytest

from edits.models import CostState, EditStatus, ErrorKind, Step
from tests.integration.workers.rounds import Rounds
from workers.steps.work import Work

TRIES = 6


async def claimed(rounds: Rounds, step: Step) -> str:
    """An edit that is due in this step."""
    if step is Step.ADOPT:
        rounds.sandbox.options(next_faults={"drop": 1})
    edit_id = await rounds.accept()
    await rounds.run(Step.SUBMIT)
    if step is Step.STORE:
        await rounds.reach(edit_id, EditStatus.STORING)
    return edit_id


@pytest.mark.parametrize(
    ("step", "kind", "cost"),
    [
        (Step.POLL, ErrorKind.INTERNAL, CostState.CHARGED),
        (Step.STORE, ErrorKind.INTERNAL, CostState.CHARGED),
        (Step.ADOPT, ErrorKind.SUBMISSION_UNKNOWN, CostState.UNKNOWN),
    ],
)
async def test_what_always_breaks_is_put_off_and_then_ends(
    rounds: Rounds, step: Step, kind: ErrorKind, cost: CostState
) -> None:
    edit_id = await claimed(rounds, step)
    for _ in range(TRIES):
        assert not (await rounds.edit(edit_id)).status.is_final
        await rounds.wait(max(0.0, (await rounds.place(edit_id)).due) + 0.01)
        claim, lease = await rounds.claim_one(step)
        await Work(rounds.clients, claim, lease).put_off(step)
    edit = await rounds.edit(edit_id)
    assert edit.error is not None
    assert (edit.status, edit.error.kind, edit.cost_state) == (EditStatus.FAILED, kind, cost)
    assert edit.error.retryable
    assert rounds.bought() == 1


async def test_a_paid_task_that_broke_us_is_had_by_asking_again(rounds: Rounds) -> None:
    edit_id = await claimed(rounds, Step.POLL)
    for _ in range(TRIES):
        await rounds.wait(max(0.0, (await rounds.place(edit_id)).due) + 0.01)
        claim, lease = await rounds.claim_one(Step.POLL)
        await Work(rounds.clients, claim, lease).put_off(Step.POLL)
    await rounds.clients.repository.retry(edit_id)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.tasks_bought, rounds.bought()) == (EditStatus.SUCCEEDED, 1, 1)


async def test_a_create_that_broke_us_is_left_to_its_lease(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    await Work(rounds.clients, claim, lease).put_off(Step.SUBMIT)
    assert (await rounds.place(edit_id)).name == "submit"
