"""Retry: searches for a paid task first; a failed task is bought again only with permission."""

from datetime import timedelta

import pytest

from edits import errors
from edits.db.acceptance import Idempotency
from edits.models import CostState, ErrorKind, Priority, Wait
from tests.factories import MOMENT
from tests.integration.edits.core import Core

READ_AGAIN = [
    ErrorKind.PROVIDER_TIMEOUT, ErrorKind.RESULT_UNAVAILABLE, ErrorKind.BUDGET_EXHAUSTED, ErrorKind.INTERNAL,
]  # fmt: skip
BUY_AGAIN = [ErrorKind.PROVIDER_FAILED, ErrorKind.MODERATED, ErrorKind.RESULT_INVALID]


@pytest.mark.parametrize("kind", READ_AGAIN)
async def test_a_paid_task_that_may_still_bring_something_is_read_again(core: Core, kind: ErrorKind):
    claim = await core.processing()
    await core.fail(claim, kind, abandon=kind is ErrorKind.PROVIDER_TIMEOUT)
    edit = await core.repository.retry(claim.id)
    assert (edit.status, edit.attempt, edit.task_id) == ("processing", 2, claim.task_id)
    assert (edit.error, edit.finished_at, edit.waiting_for) == (None, None, Wait.NOTICE)
    again = await core.claim("poll")
    assert again.may_buy_anew
    assert await core.now() - again.moment("ta") < 1000
    assert await core.abandoned() == []


async def test_the_key_of_an_edit_that_goes_on_again_stands_for_it_until_it_has_ended(core: Core):
    key = Idempotency(key="again", fingerprint="f")
    edit_id = await core.queued(expires_at=MOMENT + timedelta(seconds=5), key=key)
    await core.pass_time(6)
    assert await core.claim_submit() == []
    name = core.key("idem", "default", key.key)
    assert await core.redis.pttl(name) > 0
    await core.repository.retry(edit_id)
    assert await core.redis.pttl(name) == -1
    await core.repository.cancel(edit_id)
    assert await core.redis.pttl(name) > 0


async def test_an_edit_whose_later_attempt_turns_up_goes_on_with_its_key_and_breaks_no_rule(core: Core):
    key = Idempotency(key="again", fingerprint="f")
    claim = await core.processing(key=key)
    await core.fail(claim, ErrorKind.PROVIDER_FAILED)
    assert await core.bought(claim, attempt=2, how="history") == "taken_over"
    assert (await core.edit(claim.id)).tasks_bought == 2
    assert await core.redis.pttl(core.key("idem", "default", key.key)) == -1


async def test_a_key_that_stands_for_another_edit_by_now_is_left_alone(core: Core):
    key = Idempotency(key="again", fingerprint="f")
    edit_id = await core.queued(expires_at=MOMENT + timedelta(seconds=5), key=key)
    await core.pass_time(6)
    await core.claim_submit()
    await core.redis.delete(core.key("idem", "default", key.key))  # a day has passed
    other = await core.queued(key=key)
    await core.repository.retry(edit_id)
    await core.repository.cancel(edit_id)
    assert await core.redis.pttl(core.key("idem", "default", key.key)) == -1
    assert (await core.accept(key=key)).edit.id == other


async def test_an_expired_edit_that_is_asked_for_again_does_not_expire_again(core: Core):
    edit_id = await core.queued(expires_at=MOMENT + timedelta(seconds=5))
    await core.pass_time(6)
    assert await core.claim_submit() == []
    assert (await core.edit(edit_id)).status == "failed"
    await core.repository.retry(edit_id)
    (again,) = await core.claim_submit()
    assert again.id == edit_id


@pytest.mark.parametrize("kind", BUY_AGAIN)
async def test_a_task_that_brought_nothing_is_bought_again(core: Core, kind: ErrorKind):
    claim = await core.processing()
    await core.fail(claim, kind)
    edit = await core.repository.retry(claim.id)
    assert (edit.status, edit.attempt, edit.task_id, edit.tasks_bought) == ("queued", 2, None, 1)
    (again,) = await core.claim_submit()
    assert (again.attempt, again.may_buy_anew) == (2, False)
    assert await core.bought(again, "task-second") == "taken_over"
    assert (await core.edit(claim.id)).tasks_bought == 2


@pytest.mark.parametrize("kind", [ErrorKind.REJECTED, ErrorKind.MODERATED, ErrorKind.INTERNAL, ErrorKind.EXPIRED])
async def test_an_edit_that_was_never_bought_goes_back_to_the_queue(core: Core, kind: ErrorKind):
    claim = await core.submitting()
    await core.fail(claim, kind, cost=CostState.RELEASED)
    edit = await core.repository.retry(claim.id)
    assert (edit.status, edit.attempt, edit.cost_state) == ("queued", 2, CostState.RESERVED)


async def test_a_create_without_answer_is_looked_for_again(core: Core):
    claim = await core.adopting()
    await core.fail(claim, ErrorKind.SUBMISSION_UNKNOWN, cost=CostState.UNKNOWN)
    edit = await core.repository.retry(claim.id)
    assert (edit.status, edit.attempt, edit.waiting_for) == ("submitting", 2, Wait.ANSWER_LOST)
    again = await core.claim("adopt")
    assert again.may_buy_anew
    assert again.moment("sa") == claim.moment("sa")


async def test_an_edit_looked_for_in_vain_is_bought_with_its_new_attempt(core: Core):
    claim = await core.adopting()
    await core.fail(claim, ErrorKind.SUBMISSION_UNKNOWN, cost=CostState.UNKNOWN)
    await core.repository.retry(claim.id)
    assert await core.release(await core.claim("adopt"), why="provably_absent", wait=Wait.FAIR_SHARE)
    (again,) = await core.claim_submit()
    assert (again.attempt, again.may_buy_anew) == (2, False)


async def test_an_edit_with_a_late_task_takes_it_instead_of_looking_for_it(core: Core):
    claim = await core.adopting()
    await core.fail(claim, ErrorKind.SUBMISSION_UNKNOWN, cost=CostState.UNKNOWN)
    await core.bought(claim, "task-late")
    edit = await core.repository.retry(claim.id)
    assert (edit.status, edit.task_id) == ("processing", "task-late")
    assert await core.abandoned() == []
    assert await core.complete(await core.claim("poll"))


async def test_the_leave_to_buy_anew_ends_with_the_retry(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.INTERNAL)
    await core.repository.retry(claim.id)
    assert await core.outcomes.rebuy(await core.claim("poll"), kind=ErrorKind.RESULT_UNAVAILABLE, automatic=False)
    edit = await core.edit(claim.id)
    assert (edit.status, edit.attempt, edit.task_id) == ("queued", 2, None)
    await core.bought((await core.claim_submit())[0])
    assert not (await core.claim("poll")).may_buy_anew


async def test_the_time_between_failure_and_retry_has_a_name(core: Core):
    claim = await core.submitting()
    await core.fail(claim)
    await core.pass_time(600)
    await core.repository.retry(claim.id)
    (event,) = [event for event in await core.repository.timeline(claim.id) or [] if event.type == "retried"]
    assert event.wait == Wait.PAUSED
    assert event.duration_ms == pytest.approx(600_000, abs=1000)
    assert event.data == {"attempt": 2}


@pytest.mark.parametrize("again", ["retried", "bought again"])
@pytest.mark.parametrize("priority", list(Priority))
async def test_priority_outlives_every_way_back_into_the_queue(core: Core, priority: Priority, again: str):
    claim = await core.processing(priority=priority)
    await core.pass_time(60)
    if again == "retried":
        await core.fail(claim, ErrorKind.PROVIDER_FAILED)
        await core.repository.retry(claim.id)
    else:
        await core.outcomes.rebuy(claim, kind=ErrorKind.PROVIDER_FAILED, automatic=True)
    others = {kind: await core.queued(priority=kind) for kind in Priority if kind is not priority}
    order = {**others, priority: claim.id}
    served = [found.id for found in await core.claim_submit(3)]
    assert served == [order[kind] for kind in (Priority.INTERACTIVE, Priority.STANDARD, Priority.BULK)]


async def test_a_retried_edit_queues_behind_those_that_wait_already(core: Core):
    claim = await core.submitting()
    await core.pass_time(1)
    waiting = await core.queued()
    await core.pass_time(1)
    await core.fail(claim, cost=CostState.RELEASED)
    await core.repository.retry(claim.id)
    assert [found.id for found in await core.claim_submit(2)] == [waiting, claim.id]


async def test_a_double_click_retries_once(core: Core):
    claim = await core.submitting()
    await core.fail(claim)
    await core.repository.retry(claim.id)
    before = await core.dump()
    with pytest.raises(errors.NotFinished):
        await core.repository.retry(claim.id)
    assert await core.dump() == before


async def test_whoever_held_the_failed_edit_decides_nothing_on_the_retried_one(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.INTERNAL)
    await core.repository.retry(claim.id)
    before = await core.dump()
    assert not await core.complete(claim)
    assert not await core.outcomes.snooze(claim, delay=1)
    assert await core.dump() == before


async def test_a_setting_buys_again_with_a_new_attempt_and_counts_it(core: Core):
    claim = await core.processing()
    assert await core.outcomes.rebuy(claim, kind=ErrorKind.PROVIDER_FAILED, automatic=True)
    edit = await core.edit(claim.id)
    assert (edit.status, edit.attempt, edit.tasks_bought) == ("queued", 2, 1)
    (again,) = await core.claim_submit()
    assert again.moment("ar") == 1
    assert await core.counter("rebuys") == 1
    assert (await core.events(claim.id))[-2] == "bought_again"


async def test_other_paid_tasks_are_still_shown_after_a_rebuy(core: Core):
    claim = await core.processing()
    await core.bought(claim, "task-extra")
    await core.process.claims.settle_abandoned("task-extra", status="failed")
    await core.outcomes.rebuy(claim, kind=ErrorKind.PROVIDER_FAILED, automatic=True)
    edit = await core.edit(claim.id)
    assert (edit.status, edit.other_task_ids) == ("queued", ("task-extra", claim.task_id))


async def test_a_retried_edit_can_succeed_and_its_result_has_its_own_folder(core: Core):
    claim = await core.storing()
    await core.fail(claim, ErrorKind.RESULT_INVALID)
    await core.repository.retry(claim.id)
    await core.bought((await core.claim_submit())[0])
    await core.complete(await core.claim("poll"))
    await core.succeed(await core.claim("store"))
    edit = await core.edit(claim.id)
    assert edit.result is not None
    assert edit.result.key.endswith("/2/result.png")
    assert (edit.error, edit.status) == (None, "succeeded")
