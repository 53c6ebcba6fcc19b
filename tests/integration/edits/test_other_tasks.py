"""Two tasks for one edit: the first that is completed counts, the other is named, and both are in the edit's cost."""

import pytest

from edits.models import CostState, ErrorKind, Wait
from tests.integration.edits.core import PRICE, Core

EXTRA = "task-extra"


async def with_two(core: Core, step: str = "processing", *, units: int = 150_000) -> str:
    """An edit at that step, and another paid task of it that is followed; its own one is returned."""
    claim = await {"processing": core.processing, "storing": core.storing}[step]()
    assert await core.bought(claim, EXTRA, units=units, how="history") == "extra"
    return claim.id


async def ends(core: Core, task: str = EXTRA, status: str = "completed", units: int | None = None) -> None:
    await core.process.claims.settle_abandoned(task, status=status, units=units)


async def test_the_other_task_counts_if_it_is_completed_first(core: Core):
    edit_id = await with_two(core)
    own = (await core.edit(edit_id)).task_id
    await ends(core)
    edit = await core.edit(edit_id)
    assert (edit.status, edit.task_id, edit.task_status) == ("processing", EXTRA, "completed")
    assert (edit.other_task_ids, edit.waiting_for, edit.tasks_bought) == ((own,), Wait.NOTICE, 2)
    assert await core.abandoned() == [own]
    (event,) = [e for e in await core.repository.timeline(edit_id) or [] if e.type == "other_task_taken"]
    assert event.data == {"task_id": EXTRA, "instead_of": own}
    claim = await core.claim("poll")
    assert claim.task_id == EXTRA
    assert await core.complete(claim, units=150_000)
    assert await core.succeed(await core.claim("store"))


async def test_whoever_reads_the_own_task_meanwhile_decides_nothing(core: Core):
    reading = await core.processing()
    await core.bought(reading, EXTRA)
    await ends(core)
    before = await core.dump()
    assert not await core.complete(reading)
    assert not await core.fail(reading, ErrorKind.PROVIDER_FAILED)
    assert not await core.outcomes.rebuy(reading, kind=ErrorKind.PROVIDER_FAILED, automatic=True)
    assert await core.dump() == before


async def test_a_task_completed_second_is_only_named(core: Core):
    edit_id = await with_two(core, "storing")
    await ends(core)
    edit = await core.edit(edit_id)
    assert (edit.status, edit.other_task_ids) == ("storing", (EXTRA,))
    assert await core.abandoned() == []
    assert (await core.events(edit_id))[-1] == "task_ended"


@pytest.mark.parametrize("decision", ["fail", "rebuy"])
@pytest.mark.parametrize("extra", ["runs", "is completed"])
async def test_an_edit_whose_own_task_brings_nothing_goes_on_with_the_other(core: Core, decision: str, extra: str):
    claim = await core.storing()
    await core.bought(claim, EXTRA)
    if extra == "is completed":
        await ends(core)
    if decision == "fail":
        assert await core.fail(claim, ErrorKind.RESULT_UNAVAILABLE)
    else:
        assert await core.outcomes.rebuy(claim, kind=ErrorKind.RESULT_UNAVAILABLE, automatic=False)
    edit = await core.edit(claim.id)
    assert (edit.status, edit.task_id, edit.other_task_ids) == ("processing", EXTRA, (claim.task_id,))
    assert await core.abandoned() == []
    again = await core.claim("poll")
    assert await core.fail(again, ErrorKind.PROVIDER_FAILED)  # and no task is taken twice
    assert (await core.edit(claim.id)).status == "failed"


async def test_a_failed_other_task_changes_nothing(core: Core):
    claim = await core.processing()
    await core.bought(claim, EXTRA)
    await ends(core, status="failed")
    assert await core.fail(claim, ErrorKind.PROVIDER_FAILED)
    edit = await core.edit(claim.id)
    assert (edit.status, edit.tasks_bought, edit.other_task_ids) == ("failed", 2, (EXTRA,))


async def test_a_task_given_up_at_the_deadline_is_followed_beside_the_other(core: Core):
    claim = await core.processing()
    await core.bought(claim, EXTRA)
    assert await core.fail(claim, ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    assert sorted(await core.abandoned()) == sorted([EXTRA, claim.task_id])


@pytest.mark.parametrize("kind", [ErrorKind.PROVIDER_TIMEOUT, ErrorKind.RESULT_INVALID])
async def test_a_retry_takes_the_other_task_that_is_completed(core: Core, kind: ErrorKind):
    claim = await core.processing()
    await core.fail(claim, kind, abandon=kind is ErrorKind.PROVIDER_TIMEOUT)
    await core.bought(claim, EXTRA, how="callback")
    await ends(core)
    edit = await core.repository.retry(claim.id)
    assert (edit.status, edit.task_id, edit.other_task_ids) == ("processing", EXTRA, (claim.task_id,))
    assert await core.abandoned() == ([claim.task_id] if kind is ErrorKind.PROVIDER_TIMEOUT else [])
    again = await core.claim("poll")
    assert (again.task_id, again.may_buy_anew) == (EXTRA, True)


async def test_an_edit_about_to_buy_again_takes_what_is_paid(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_FAILED)
    await core.repository.retry(claim.id)
    assert await core.bought(claim, EXTRA) == "extra"  # of the attempt before
    await ends(core)
    edit = await core.edit(claim.id)
    assert (edit.status, edit.task_id, edit.tasks_bought) == ("processing", EXTRA, 2)
    assert await core.claim_submit() == []
    assert (await core.claim("poll")).may_buy_anew


async def test_an_edit_that_buys_at_this_moment_is_left_alone(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_FAILED)
    await core.repository.retry(claim.id)
    await core.bought(claim, EXTRA)
    (buying,) = await core.claim_submit()
    await ends(core)
    assert (await core.edit(claim.id)).status == "submitting"
    assert await core.bought(buying, "task-own") == "taken_over"


# Cost


async def test_the_cost_of_an_edit_is_that_of_all_its_tasks(core: Core):
    edit_id = await with_two(core, units=150_000)
    assert (await core.edit(edit_id)).cost_units == PRICE + 150_000
    await ends(core, units=160_000)
    await core.complete(await core.claim("poll"), units=170_000)
    assert (await core.edit(edit_id)).cost_units == PRICE + 170_000
    assert await core.counter("spent") == PRICE + 170_000


async def test_a_task_bought_again_adds_to_the_cost(core: Core):
    claim = await core.processing()
    await core.outcomes.rebuy(claim, kind=ErrorKind.PROVIDER_FAILED, automatic=True)
    await core.bought((await core.claim_submit())[0], units=PRICE)
    await core.complete(await core.claim("poll"), units=PRICE + 5)
    edit = await core.edit(claim.id)
    assert (edit.cost_units, await core.counter("spent")) == (2 * PRICE + 5, 2 * PRICE + 5)


async def test_what_a_given_up_task_cost_is_settled_by_what_it_says_when_completed(core: Core):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    await ends(core, claim.task_id, units=250_000)
    edit = await core.edit(claim.id)
    assert (edit.cost_units, edit.cost_state) == (250_000, CostState.CHARGED)
    assert await core.counter("spent") == 250_000


async def test_a_refund_is_never_assumed(core: Core):
    """A failed task says that it consumed nothing; whether the account was charged nobody knows."""
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    await ends(core, claim.task_id, status="failed", units=0)
    edit = await core.edit(claim.id)
    assert (edit.cost_units, edit.cost_state) == (PRICE, CostState.UNKNOWN)
    assert await core.counter("spent") == PRICE
