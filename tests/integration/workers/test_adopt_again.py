"""Adopt: what a person's `retry` finds, and edits with more than one task."""

from edits.attempts import Attempt
from edits.models import EditStatus
from tests.integration.workers.lost import lost, unknown
from tests.integration.workers.rounds import Rounds


async def test_a_retry_of_an_unknown_submission_takes_the_task_if_it_turns_up(rounds: Rounds) -> None:
    edit_id = await unknown(rounds, "drop")
    edit = await rounds.clients.repository.retry(edit_id)
    assert (edit.status, edit.attempt) == (EditStatus.SUBMITTING, 2)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.tasks_bought, rounds.bought()) == (EditStatus.SUCCEEDED, 1, 1)


async def test_a_retry_of_an_unknown_submission_buys_if_nothing_turns_up(rounds: Rounds) -> None:
    edit_id = await unknown(rounds, "drop_before")
    await rounds.clients.repository.retry(edit_id)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.attempt, edit.tasks_bought) == (EditStatus.SUCCEEDED, 2, 1)
    (row,) = rounds.sandbox.ledger()["tasks"]
    assert rounds.clients.tokens.verify(row["webhook_secret"]) == Attempt(edit_id, 2)


async def test_two_tasks_of_one_attempt_are_one_edit_and_one_extra(rounds: Rounds) -> None:
    edit_id = await lost(rounds)
    (row,) = rounds.sandbox.ledger()["tasks"]
    await rounds.clients.outcomes.bought(
        edit_id, attempt=1, task_id="another-one", units=200_000, status="pending", first_look=0, how="answer"
    )
    await rounds.clients.outcomes.bought(
        edit_id, attempt=1, task_id=row["task_id"], units=200_000, status="pending", first_look=0, how="history"
    )
    edit = await rounds.edit(edit_id)
    assert (edit.task_id, edit.tasks_bought) == ("another-one", 2)
    assert await rounds.abandoned() == [row["task_id"]]
