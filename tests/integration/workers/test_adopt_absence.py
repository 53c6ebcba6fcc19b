"""Adopt: nothing is bought again unless the history proves that nothing was bought."""

import pytest

from edits.models import CostState, EditStatus, ErrorKind
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.lost import PATIENCE, bought, ended_unknown, looked, lost, witness
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
    await bought(rounds, "just before")
    edit_id = await lost(rounds, "drop_before")
    await rounds.wait(PATIENCE)
    assert await looked(rounds, edit_id) > 0  # the only look so far: how late the history is cannot be told yet
    assert rounds.bought() == 1


async def test_without_a_witness_nothing_is_bought_again(rounds: Rounds) -> None:
    edit_id = await lost(rounds, "drop_before")
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, edit.error.retryable) == (ErrorKind.SUBMISSION_UNKNOWN, True)
    assert (edit.cost_state, rounds.bought()) == (CostState.UNKNOWN, 0)


async def test_a_task_sent_before_the_lost_one_is_no_witness(rounds: Rounds) -> None:
    await bought(rounds, "earlier")
    rounds.sandbox.options(history_lag=400)
    edit_id = await lost(rounds, "drop_before")
    await ended_unknown(rounds, edit_id)
    assert rounds.bought() == 1


async def test_time_vouches_where_our_tasks_appeared_fast(rounds: Rounds) -> None:
    """Nothing was bought later, and what was bought just before showed at the first look."""
    await bought(rounds, "just before")
    edit_id = await lost(rounds, "drop_before")
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
    assert rounds.bought() == 2
    (waited,) = [event for event in await rounds.clients.claims.timeline(edit_id) if event.type == "provably_absent"]
    assert waited.duration_ms < 100_000


async def test_time_vouches_three_times_as_late_as_our_tasks_appeared(rounds: Rounds) -> None:
    await bought(rounds, "before")
    edit_id = await lost(rounds, "drop_before")
    rounds.sandbox.options(history_lag=40)
    await rounds.wait(PATIENCE)
    assert await looked(rounds, edit_id) > 0
    claimed_at = int((await rounds.fields(edit_id))["sa"]) / 1000
    await rounds.reach(edit_id, EditStatus.QUEUED)
    assert await rounds.now() - claimed_at > 25 + 3 * 61
    assert rounds.bought() == 1


async def test_a_history_that_is_later_than_that_proves_nothing(rounds: Rounds) -> None:
    """A task that was bought just before shows, and one bought later is missing: only its witness can say more."""
    await bought(rounds, "just before")
    edit_id = await lost(rounds, "drop_before")
    await looked(rounds, edit_id)
    rounds.sandbox.options(history_lag=1000)
    await rounds.wait(1)
    await bought(rounds, "never shown")
    await ended_unknown(rounds, edit_id)
    assert rounds.bought() == 2


async def test_before_a_task_that_is_missing_no_later_one_vouches(rounds: Rounds) -> None:
    """The history is not in order: the lost one may be missing as well."""
    rounds.not_held.add("tasks")
    edit_id = await lost(rounds, "drop_before")
    hidden = await bought(rounds, "hidden")
    await rounds.redis.hset(rounds.key("e", hidden), "ti", "a-task-that-the-history-never-shows")
    await witness(rounds)
    await ended_unknown(rounds, edit_id)
    assert rounds.bought() == 2


@pytest.mark.parametrize("policy", ["adopt_or_resubmit", "adopt_or_fail"])
@pytest.mark.parametrize("ahead", [90, -90])
@pytest.mark.parametrize("fault", ["drop", "drop_before"])
async def test_the_providers_clock_may_be_off(ahead: int, fault: str, policy: str, open_rounds: OpenRounds) -> None:
    """By a minute and a half, either way: what is there is found, and what is not is proved to be absent."""
    async with open_rounds(RETOUCH_QUBICO__UNKNOWN_SUBMIT=policy) as rounds:
        if ahead > 0:
            rounds.sandbox.advance(ahead)
        else:
            await rounds.redis.incrby(rounds.key("clock"), -ahead * 1000)
        edit_id = await lost(rounds, fault)
        await witness(rounds)
        edit = await rounds.finish(edit_id)
        fails = fault == "drop_before" and policy == "adopt_or_fail"
        assert edit.status is (EditStatus.FAILED if fails else EditStatus.SUCCEEDED)
        assert rounds.bought() == (1 if fails else 2)
        assert edit.cost_state is (CostState.RELEASED if fails else CostState.CHARGED)


@pytest.mark.parametrize("ahead", [600, -600])
async def test_clocks_too_far_apart_prove_nothing(ahead: int, rounds: Rounds) -> None:
    edit_id = await lost(rounds, "drop_before")
    await bought(rounds, "before the clock was set")
    if ahead > 0:
        rounds.sandbox.advance(ahead)
    else:
        await rounds.redis.incrby(rounds.key("clock"), -ahead * 1000)
    await witness(rounds)
    await ended_unknown(rounds, edit_id)
    assert rounds.bought() == 2


@pytest.mark.parametrize("policy", ["adopt_or_resubmit", "adopt_or_fail"])
async def test_by_either_setting_what_cannot_be_proved_is_not_sent_again(policy: str, open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__UNKNOWN_SUBMIT=policy) as rounds:
        edit = await ended_unknown(rounds, await lost(rounds, "drop_before"))
        assert (edit.cost_state, rounds.bought()) == (CostState.UNKNOWN, 0)


@pytest.mark.parametrize("policy", ["adopt_or_resubmit", "adopt_or_fail"])
async def test_by_either_setting_a_task_shown_late_is_taken(policy: str, open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__UNKNOWN_SUBMIT=policy) as rounds:
        rounds.sandbox.options(history_lag=55)
        edit = await rounds.finish(await lost(rounds))
        assert (edit.status, edit.tasks_bought, rounds.bought()) == (EditStatus.SUCCEEDED, 1, 1)


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
