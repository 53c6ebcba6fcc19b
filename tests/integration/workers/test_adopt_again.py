"""Adopt: what a person's `retry` finds, and edits with more than one task."""

from edits.attempts import Attempt
from edits.models import CostState, EditStatus, ErrorKind, Step
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.lost import bought, ended_unknown, looked, lost, somebody_else_buys, unknown
from tests.integration.workers.rounds import Rounds
from workers.steps.sweep import Sweep


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
    rounds.not_held.add("bought_once")
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


async def swept(rounds: Rounds) -> None:
    """As by a process that has just begun, which looks for paid tasks at once."""
    rounds.work[Step.SWEEP] = Sweep(rounds.clients)
    await rounds.run(Step.SWEEP)


async def with_two_tasks(rounds: Rounds, first: str, second: str) -> tuple[str, str, str]:
    """An edit whose create arrived twice, as two workers might tell; the second task is the extra one."""
    edit_id = await lost(rounds, prompt=f"winter {first}".strip())
    claim = rounds.clients.tokens.sign(Attempt(edit_id, 1))
    extra = await somebody_else_buys(rounds, prompt=f"winter {second}".strip(), webhook_secret=claim)
    own = rounds.sandbox.ledger()["tasks"][0]["task_id"]
    for task_id in (own, extra):
        await rounds.clients.outcomes.bought(
            edit_id, attempt=1, task_id=task_id, units=200_000, status="pending", first_look=0, how="history"
        )
    return edit_id, own, extra


async def test_both_tasks_with_a_token_are_found_and_one_is_the_edits(rounds: Rounds) -> None:
    rounds.not_held.add("bought_once")
    edit_id = await lost(rounds)
    token = rounds.clients.tokens.sign(Attempt(edit_id, 1))
    await somebody_else_buys(rounds, webhook_secret=token)
    await looked(rounds, edit_id)
    edit = await rounds.edit(edit_id)
    assert edit.task_id is not None
    assert sorted([edit.task_id, *edit.other_task_ids]) == sorted(
        t["task_id"] for t in rounds.sandbox.ledger()["tasks"]
    )
    assert (edit.tasks_bought, edit.cost_units) == (2, 400_000)
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
    await rounds.wait(60)
    await swept(rounds)
    assert await rounds.abandoned() == []
    assert "task_ended" in await rounds.events(edit_id)


async def test_an_edit_whose_own_task_hangs_goes_on_with_the_other(rounds: Rounds) -> None:
    rounds.not_held.add("bought_once")
    edit_id, own, extra = await with_two_tasks(rounds, "[fault:stuck]", "")
    await rounds.wait(10)
    await swept(rounds)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.task_id, edit.other_task_ids) == (EditStatus.SUCCEEDED, extra, (own,))
    assert await rounds.abandoned() == [own]
    assert rounds.bought() == 2


async def test_an_edit_whose_own_task_fails_goes_on_with_the_other(rounds: Rounds) -> None:
    rounds.not_held.add("bought_once")
    edit_id, own, extra = await with_two_tasks(rounds, "[fault:failed]", "[fault:slow=5]")
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.task_id, edit.other_task_ids) == (EditStatus.SUCCEEDED, extra, (own,))
    assert await rounds.abandoned() == []
    assert rounds.bought() == 2


async def test_an_edit_ends_when_all_its_tasks_have_failed(rounds: Rounds) -> None:
    rounds.not_held.add("bought_once")
    edit_id, _, _ = await with_two_tasks(rounds, "[fault:failed]", "[fault:failed]")
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, edit.tasks_bought) == (ErrorKind.PROVIDER_FAILED, 2)


async def test_the_task_of_an_unknown_submission_that_a_callback_names_late_is_stored_by_a_retry(
    rounds: Rounds,
) -> None:
    """The API commits what a callback names only while the edit looks; a person's retry then finds it."""
    edit_id = await unknown(rounds, "drop")
    (row,) = rounds.sandbox.ledger()["tasks"]
    rounds.sandbox.options(history_lag=1000)
    await rounds.clients.repository.retry(edit_id)
    await rounds.clients.repository.nudge(edit_id, attempt=1, task_id=row["task_id"])
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.task_id, rounds.bought()) == (EditStatus.SUCCEEDED, row["task_id"], 1)


async def test_a_retry_of_an_unknown_submission_looks_by_token_then_by_input(rounds: Rounds) -> None:
    rounds.sandbox.options(echo="blank", history_lag=1000)
    edit_id = await lost(rounds)
    await ended_unknown(rounds, edit_id)
    rounds.sandbox.options(history_lag=0)
    await rounds.clients.repository.retry(edit_id)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.tasks_bought, rounds.bought()) == (EditStatus.SUCCEEDED, 1, 1)


async def test_a_given_up_task_is_followed_to_its_end_and_then_taken_by_a_retry(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_EDITS__DEADLINE="100s") as rounds:
        edit_id = await bought(rounds, "winter [fault:slow=51]")
        edit = await rounds.finish(edit_id, rounds=300)  # time in which nobody looks does not count
        assert edit.error is not None
        assert edit.error.kind is ErrorKind.PROVIDER_TIMEOUT
        await rounds.wait(150)
        await swept(rounds)
        assert (await rounds.edit(edit_id)).task_status == "completed"
        assert await rounds.abandoned() == []
        await rounds.clients.repository.retry(edit_id)
        assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
        assert rounds.bought() == 1


async def test_a_given_up_task_that_failed_leaves_its_cost_unknown(open_rounds: OpenRounds) -> None:
    """The sandbox says then that it consumed nothing, as the provider may; that is no proof of a refund."""
    async with open_rounds(RETOUCH_EDITS__DEADLINE="100s") as rounds:
        edit_id = await bought(rounds, "winter [fault:slow=51] [fault:failed]")
        await rounds.finish(edit_id, rounds=300)
        await rounds.wait(150)
        await swept(rounds)
        edit = await rounds.edit(edit_id)
        assert (edit.task_status, edit.cost_units, edit.cost_state) == ("failed", 200_000, CostState.UNKNOWN)
