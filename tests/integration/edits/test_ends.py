"""Ends of edits: canceled for free, or with a manifest that the sweep writes until it is the last word."""

from edits.models import CostState, ErrorKind
from tests.integration.edits.core import Core


async def test_a_written_manifest_is_not_written_again(core: Core):
    await core.repository.cancel(await core.queued())
    claim = await core.claim("manifest")
    await core.outcomes.recorded(claim)
    await core.pass_time(100)
    assert (await core.claims("manifest")).claims == []


async def test_a_manifest_that_was_not_written_is_due_again(core: Core):
    await core.repository.cancel(await core.queued())
    await core.claim("manifest")
    assert (await core.claims("manifest")).claims == []
    await core.pass_time(41)
    assert len((await core.claims("manifest")).claims) == 1


async def test_a_manifest_of_an_edit_that_changed_meanwhile_is_written_again(core: Core):
    await core.fail(await core.submitting())
    old = await core.claim("manifest")
    await core.repository.retry(old.id)
    await core.fail((await core.claim_submit())[0])
    await core.outcomes.recorded(old)
    assert (await core.claim("manifest")).id == old.id


async def test_a_retried_edit_waits_for_no_manifest(core: Core):
    await core.fail(await core.submitting())
    old = await core.claim("manifest")
    await core.repository.retry(old.id)
    await core.outcomes.recorded(old)
    assert (await core.claims("manifest")).claims == []
    assert "retention" not in await core.dump()


async def test_a_late_task_of_an_ended_edit_is_written_into_its_manifest(core: Core):
    claim = await core.submitting()
    await core.fail(claim)
    await core.outcomes.recorded(await core.claim("manifest"))
    assert await core.bought(claim) == "late"
    again = await core.claim("manifest")
    assert again.edit().tasks_bought == 1
    await core.outcomes.recorded(again)
    await core.pass_time(100)
    assert (await core.claims("manifest")).claims == []


async def test_a_queued_edit_is_canceled_for_free(core: Core):
    edit_id = await core.queued()
    edit = await core.repository.cancel(edit_id)
    assert (edit.status, edit.cost_state, edit.tasks_bought) == ("canceled", CostState.RELEASED, 0)
    assert await core.claim_submit() == []
    assert await core.counter("ended:canceled:") == 1


async def test_canceling_twice_is_canceling_once(core: Core):
    edit_id = await core.queued()
    first = await core.repository.cancel(edit_id)
    before = await core.dump()
    assert await core.repository.cancel(edit_id) == first
    assert await core.dump() == before


async def test_a_released_edit_can_be_canceled(core: Core):
    claim = await core.submitting()
    await core.release(claim)
    assert (await core.repository.cancel(claim.id)).status == "canceled"


async def test_an_edit_canceled_after_a_purchase_shows_that_it_was_charged(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_FAILED, cost=CostState.UNKNOWN)
    await core.repository.retry(claim.id)
    edit = await core.repository.cancel(claim.id)
    assert (edit.status, edit.cost_state, edit.tasks_bought) == ("canceled", CostState.CHARGED, 1)


async def test_an_edit_refused_after_an_earlier_purchase_shows_that_it_was_charged(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_FAILED, cost=CostState.UNKNOWN)
    await core.repository.retry(claim.id)
    (again,) = await core.claim_submit()
    await core.fail(again, ErrorKind.REJECTED, cost=CostState.RELEASED)
    assert (await core.edit(claim.id)).cost_state is CostState.CHARGED
