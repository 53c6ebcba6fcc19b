"""Bought tasks: a task is recorded from any report at any time; one task never serves two edits."""

import asyncio

import pytest

from edits.models import CostState, ErrorKind, Wait
from tests.integration.edits.core import LEASE, PRICE, Core
from tests.integration.edits.dump import scores
from tests.integration.edits.watch import Watch


async def test_the_task_of_a_create_is_taken_over(core: Core):
    claim = await core.submitting()
    assert await core.bought(claim, "task-1", units=190_000, first_look=2) == "taken_over"
    edit = await core.edit(claim.id)
    assert (edit.status, edit.task_id, edit.task_status) == ("processing", "task-1", "pending")
    assert (edit.cost_units, edit.cost_state, edit.tasks_bought) == (190_000, CostState.CHARGED, 1)
    assert edit.waiting_for == Wait.PROVIDER_QUEUE
    assert await core.counter("bought") == 1
    assert await core.counter("spent") == 190_000


async def test_reporting_a_task_twice_changes_nothing(core: Core):
    claim = await core.submitting()
    await core.bought(claim, "task-1")
    before = await core.dump()
    assert await core.bought(claim, "task-1", how="callback") == "same"
    assert await core.dump() == before


@pytest.mark.parametrize("step", ["adopting", "expired lease", "released"])
async def test_a_task_is_taken_over_wherever_the_edit_is_without_one(core: Core, step: str):
    claim = await core.submitting()
    if step == "adopting":
        await core.outcomes.lost(claim, cause="AnswerLost", delay=0)
        await core.claim("adopt")
    elif step == "expired lease":
        await core.pass_time(LEASE.total_seconds() + 1)
        await core.claims("adopt")
    else:
        await core.release(claim)
    assert await core.bought(claim) == "taken_over"
    assert (await core.edit(claim.id)).status == "processing"


async def test_whoever_looked_for_the_task_meanwhile_decides_nothing(core: Core):
    adopt = await core.adopting()
    await core.bought(adopt)
    before = await core.dump()
    assert not await core.release(adopt)
    assert not await core.fail(adopt, ErrorKind.SUBMISSION_UNKNOWN)
    assert not await core.outcomes.snooze(adopt, delay=1)
    assert await core.dump() == before


@pytest.mark.parametrize("step", ["processing", "storing"])
async def test_a_second_task_is_kept_counted_and_followed_to_its_end(core: Core, step: str):
    claim = await {"processing": core.processing, "storing": core.storing}[step]()
    assert await core.bought(claim, "task-extra", how="history") == "extra"
    edit = await core.edit(claim.id)
    assert (edit.task_id, edit.tasks_bought) == (claim.task_id, 2)
    assert await core.abandoned() == ["task-extra"]
    assert "task-extra" in (await core.long_texts(claim.id))["extra"]
    assert await core.counter("spent") == 2 * PRICE
    (event,) = [event for event in await core.repository.timeline(claim.id) or [] if event.type == "extra_task"]
    assert event.data == {"task_id": "task-extra", "how": "history"}


async def test_a_second_task_does_not_disturb_the_work_on_the_first(core: Core):
    claim = await core.processing()
    await core.bought(claim, "task-extra")
    assert await core.complete(claim)
    assert await core.succeed(await core.claim("store"))


async def test_the_task_of_an_ended_edit_is_late_and_kept_for_a_retry(core: Core):
    claim = await core.submitting()
    await core.fail(claim, ErrorKind.INTERNAL)
    assert await core.bought(claim, "task-late") == "late"
    edit = await core.edit(claim.id)
    assert (edit.status, edit.task_id, edit.cost_state) == ("failed", "task-late", CostState.CHARGED)
    assert await core.abandoned() == ["task-late"]


async def test_a_second_task_of_an_ended_edit_is_extra(core: Core):
    claim = await core.storing()
    await core.succeed(claim)
    assert await core.bought(claim, "task-extra") == "extra"
    assert (await core.edit(claim.id)).task_id == claim.task_id


async def test_a_late_task_of_a_canceled_edit_is_followed_too(core: Core):
    claim = await core.submitting()
    await core.release(claim)
    await core.repository.cancel(claim.id)
    assert await core.bought(claim, "task-late") == "late"
    assert await core.abandoned() == ["task-late"]


async def test_one_task_never_serves_two_edits(core: Core):
    first = await core.submitting()
    second = await core.submitting()
    assert await core.bought(first, "task-1") == "taken_over"
    before = await core.dump()
    assert await core.bought(second, "task-1") == "other"
    assert await core.dump() == before


async def test_of_two_edits_that_claim_one_task_at_once_one_gets_it(core: Core):
    claims = [await core.submitting() for _ in range(2)]
    core.scripts.watching = False
    answers = await asyncio.gather(*[core.bought(claim, "task-1") for claim in claims])
    assert sorted(answers) == ["other", "taken_over"]


async def test_a_task_of_an_unknown_edit_is_not_kept(core: Core):
    claim = await core.submitting()
    await core.redis.flushall()
    core.scripts.watch = Watch()  # what it has seen is lost as well
    assert await core.bought(claim) == "missing"
    assert await core.dump() == {}


async def test_the_task_of_an_attempt_that_was_bought_again_is_extra(core: Core):
    claim = await core.processing()
    await core.outcomes.rebuy(claim, kind=ErrorKind.PROVIDER_FAILED, automatic=True)
    assert await core.bought(claim, "task-old") == "extra"
    (again,) = await core.claim_submit()
    assert await core.bought(again, "task-new") == "taken_over"
    assert (await core.edit(claim.id)).tasks_bought == 3


async def test_a_retried_edit_takes_the_task_whose_answer_came_after_all(core: Core):
    """The answer of attempt 1 was lost, the edit failed, a person asked again: attempt 2 looks for that very task."""
    claim = await core.adopting()
    await core.fail(claim, ErrorKind.SUBMISSION_UNKNOWN, cost=CostState.UNKNOWN)
    await core.repository.retry(claim.id)
    assert await core.bought(claim, "task-1") == "taken_over"
    edit = await core.edit(claim.id)
    assert (edit.status, edit.attempt, edit.tasks_bought) == ("processing", 2, 1)


async def test_in_flight_is_where_the_edits_are(core: Core):
    """A submit claim, one looked for, a task that is read and one given up fill four places; a copy fills none."""
    core.process = core.worker(in_flight=5)
    await core.succeed(await core.storing())
    await core.storing()
    await core.fail(await core.processing(), ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    await core.processing()
    await core.adopting()
    await core.submitting()
    await core.queued()
    await core.queued()
    assert len(await core.claim_submit(5)) == 1
    answer = await core.process.claims.submit(5, lease=LEASE)
    assert (answer.claims, answer.next) == ([], 1)


# Tasks that nobody waits for


async def test_an_abandoned_task_is_read_slowly_until_it_ends(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    assert await core.process.claims.abandoned(5, lease=LEASE) == [(claim.task_id, claim.id)]
    assert await core.process.claims.abandoned(5, lease=LEASE) == []
    await core.process.claims.abandoned_later(claim.task_id, delay=300)
    await core.pass_time(299)
    assert await core.process.claims.abandoned(5, lease=LEASE) == []
    await core.pass_time(1.1)
    assert await core.process.claims.abandoned(5, lease=LEASE) == [(claim.task_id, claim.id)]
    await core.process.claims.settle_abandoned(claim.task_id, status="completed")
    assert await core.abandoned() == []
    edit = await core.edit(claim.id)
    assert (edit.status, edit.task_status) == ("failed", "completed")
    assert (await core.events(claim.id))[-1] == "task_ended"


async def test_an_abandoned_task_is_settled_once(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    await core.process.claims.settle_abandoned(claim.task_id, status="failed")
    before = await core.dump()
    await core.process.claims.settle_abandoned(claim.task_id, status="completed")
    await core.process.claims.abandoned_later(claim.task_id, delay=1)
    assert await core.dump() == before


async def test_the_end_of_an_extra_task_is_not_the_state_of_the_edits_own(core: Core):
    claim = await core.processing()
    await core.bought(claim, "task-extra")
    await core.process.claims.settle_abandoned("task-extra", status="failed")
    assert (await core.edit(claim.id)).task_status == "pending"
    assert await core.complete(claim)


async def test_the_end_of_a_late_task_is_written_into_the_manifest(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    await core.outcomes.recorded(await core.claim("manifest"))
    await core.process.claims.settle_abandoned(claim.task_id, status="completed")
    assert (await core.claim("manifest")).edit().task_status == "completed"


async def test_abandoned_tasks_beyond_the_horizon_are_read_now(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    await core.pass_time(-86_400)
    assert await core.process.claims.abandoned(5, lease=LEASE) == [(claim.task_id, claim.id)]


async def test_a_task_given_up_by_failure_alone_is_followed_only_if_told(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_FAILED)
    assert await core.abandoned() == []
    assert "abandoned" not in scores(await core.dump(), "retention")
