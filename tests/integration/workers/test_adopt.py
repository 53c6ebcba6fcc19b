"""Adopt: the task of a lost answer is found by its token, and nothing is bought again unless it provably was not."""

import asyncio

import pytest

from edits.attempts import Attempt
from edits.models import CostState, EditStatus, ErrorKind, Wait
from edits.schedule import Step
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds

PATIENCE = 61.0
"""Seconds: just over the quiet period."""


async def lost(rounds: Rounds, fault: str = "drop") -> str:
    """An edit whose create was answered by nothing: bought with `drop`, not bought with `drop_before`."""
    rounds.sandbox.options(next_faults={fault: 1})
    edit_id = await rounds.accept()
    await rounds.run(Step.SUBMIT)
    assert (await rounds.place(edit_id)).name == "adopt"
    return edit_id


async def looked(rounds: Rounds, edit_id: str) -> float:
    """Looks when it is due; returns in how many seconds it is due again."""
    await rounds.wait(max(0.0, (await rounds.place(edit_id)).due) + 0.01)
    assert edit_id in await rounds.run(Step.ADOPT)
    place = await rounds.place(edit_id)
    return place.due if place.name == "adopt" else 0.0


async def witness(rounds: Rounds) -> str:
    """Another edit, submitted well after the one that is looked for."""
    await rounds.wait(30)
    edit_id = await rounds.accept("a witness")
    await rounds.run(Step.SUBMIT)
    assert (await rounds.edit(edit_id)).task_id
    return edit_id


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


@pytest.mark.parametrize("echo", ["blank", "strip"])
async def test_a_history_without_tokens_proves_nothing(echo: str, rounds: Rounds) -> None:
    edit_id = await lost(rounds)
    await witness(rounds)
    rounds.sandbox.options(echo=echo)
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, rounds.bought()) == (ErrorKind.SUBMISSION_UNKNOWN, 2)


async def test_one_task_without_a_token_may_be_the_one_and_proves_nothing(rounds: Rounds) -> None:
    rounds.sandbox.options(next_faults={"drop": 1})
    edit_id = await rounds.accept("winter [fault:not_visible_once]")
    await rounds.run(Step.SUBMIT)
    await witness(rounds)
    await rounds.wait(PATIENCE)
    assert await looked(rounds, edit_id) > 0  # the witness has been read, with its token
    rounds.sandbox.options(echo="blank")
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, rounds.bought()) == (ErrorKind.SUBMISSION_UNKNOWN, 2)


async def test_a_task_listed_but_not_readable_yet_is_not_taken_for_another(rounds: Rounds) -> None:
    rounds.sandbox.options(next_faults={"drop": 1})
    edit_id = await rounds.accept("winter [fault:not_visible_once=2]")
    await rounds.run(Step.SUBMIT)
    await witness(rounds)
    await rounds.wait(PATIENCE)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.tasks_bought) == (EditStatus.SUCCEEDED, 1)
    assert rounds.bought() == 2


async def test_a_listed_task_that_can_never_be_read_ends_the_search_without_a_purchase(rounds: Rounds) -> None:
    rounds.sandbox.options(next_faults={"drop": 1})
    edit_id = await rounds.accept("winter [fault:not_visible_once=1000]")
    await rounds.run(Step.SUBMIT)
    await witness(rounds)
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, edit.cost_state) == (ErrorKind.SUBMISSION_UNKNOWN, CostState.UNKNOWN)
    assert rounds.bought() == 2


async def test_a_history_of_many_pages_is_read_to_its_end(rounds: Rounds) -> None:
    edit_id = await lost(rounds)
    await asyncio.gather(*(rounds.accept("busy") for _ in range(102)))
    claims, lease = await rounds.claim(Step.SUBMIT, 102)
    await asyncio.gather(*(rounds.work[Step.SUBMIT].work(claim, lease) for claim in claims.claims))
    assert rounds.bought() == 103
    await looked(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    assert rounds.sandbox.stats()["history_reads"] == 3  # two with rows, and the empty one that ends it


async def test_a_scan_serves_all_who_wait_and_reaches_back_to_the_oldest(rounds: Rounds) -> None:
    oldest = await lost(rounds)
    rounds.sandbox.options(history_lag=1000)  # so that the oldest has to be looked for for long
    await rounds.wait(2000)
    younger = [await lost(rounds, "drop_before") for _ in range(2)]
    await witness(rounds)
    rounds.sandbox.options(history_lag=0)
    await rounds.wait(PATIENCE)
    claims, lease = await rounds.claim(Step.ADOPT)
    work = rounds.work[Step.ADOPT]
    in_order = sorted(claims.claims, key=lambda claim: claim.id == oldest)  # the oldest comes last
    assert {claim.id for claim in in_order} == {oldest, *younger}
    await asyncio.gather(*(work.work(claim, lease) for claim in in_order))
    assert (await rounds.edit(oldest)).status is EditStatus.PROCESSING
    assert rounds.bought() == 2


async def unknown(rounds: Rounds, fault: str) -> str:
    """An edit that ended with submission_unknown."""
    if fault == "drop":
        rounds.sandbox.options(history_lag=1000)
    edit_id = await lost(rounds, fault)
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert edit.error.kind is ErrorKind.SUBMISSION_UNKNOWN
    rounds.sandbox.options(history_lag=0)
    return edit_id


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
