"""Ended edits leave Redis: whole, only once their manifest tells of them, and never while they are still needed."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from edits import errors
from edits.db.acceptance import Idempotency, LeftRedis
from edits.models import ErrorKind
from edits.retention import EVICTED_AT_ONCE, LOOK_AGAIN, Retention
from tests.integration.edits.core import Core, fill
from tests.integration.edits.objects import open_at

HOT = timedelta(hours=2)
PAST_HOT = HOT.total_seconds() + 1
PAST_A_LOOK = LOOK_AGAIN.total_seconds() + 1


@pytest.fixture
def retention(core: Core, tmp_path: Path) -> Retention:
    return Retention(
        core.scripts, open_at(tmp_path.as_uri()), hot=HOT, retention=timedelta(days=30), lease=timedelta(seconds=30)
    )


async def told(core: Core) -> None:
    """The manifests of all that ended without a result are written."""
    for claim in (await core.claims("manifest", 1000)).claims:
        await core.outcomes.recorded(claim)


async def names(core: Core, edit_id: str) -> list[str]:
    """Keys that speak of it and do not expire by themselves."""
    dump = await core.dump()
    return [
        name
        for name, (_, expiry, content) in dump.items()
        if expiry < 0 and (edit_id in name or edit_id in str(content))
    ]


async def succeeded(core: Core, **changes: object) -> str:
    claim = await core.storing(**changes)
    assert await core.succeed(claim)
    return claim.id


async def test_what_ended_leaves_whole_when_its_time_is_over(core: Core, retention: Retention):
    edit_id = await succeeded(core, external_id="order 17", metadata={"a": "b"})
    await core.pass_time(HOT.total_seconds() - 1)
    assert not await retention.evict()
    assert await core.repository.get(edit_id) is not None
    await core.pass_time(2)
    assert not await retention.evict()
    assert await core.repository.get(edit_id) is None
    assert await core.repository.timeline(edit_id) is None
    assert await core.repository.newest("default", before=None, limit=10) == []
    assert await core.repository.by_external_id("default", "order 17") == []
    assert await names(core, edit_id) == []
    left = {name for name in await core.dump() if name.split(":")[0] in {"e", "i", "x", "t", "task", "index", "ext"}}
    assert left == set()


async def test_only_those_whose_time_is_over_leave_and_they_leave_lists_alone(core: Core, retention: Retention):
    await succeeded(core, external_id="same")
    waiting = await core.queued(external_id="same")
    await core.pass_time(PAST_HOT)
    await retention.evict()
    assert await core.repository.newest("default", before=None, limit=10) == [waiting]
    assert await core.repository.by_external_id("default", "same") == [waiting]
    await core.pass_time(PAST_HOT * 100)
    await retention.evict()
    assert (await core.edit(waiting)).status == "queued"


async def failed(core: Core) -> str:
    claim = await core.submitting()
    await core.fail(claim, ErrorKind.REJECTED)
    return claim.id


async def canceled(core: Core) -> str:
    edit_id = await core.queued()
    await core.repository.cancel(edit_id)
    return edit_id


@pytest.mark.parametrize("ended", [failed, canceled])
async def test_an_edit_stays_until_its_manifest_is_written(core: Core, retention: Retention, ended: Callable):
    edit_id = await ended(core)
    await core.pass_time(PAST_HOT)
    assert not await retention.evict()
    assert await core.repository.get(edit_id) is not None
    await told(core)
    await retention.evict()
    assert await core.repository.get(edit_id) is not None  # it was looked at a moment ago
    await core.pass_time(PAST_A_LOOK)
    await retention.evict()
    assert await core.repository.get(edit_id) is None


async def test_those_that_must_stay_do_not_hold_up_the_others(core: Core, retention: Retention):
    core.scripts.watching = False
    ids = [await canceled(core) for _ in range(EVICTED_AT_ONCE)]
    await core.pass_time(1)
    behind = await succeeded(core)
    await core.pass_time(PAST_HOT)
    assert await retention.evict()
    assert not await retention.evict()
    assert await core.repository.get(behind) is None
    assert len(await core.repository.get_many(ids)) == EVICTED_AT_ONCE


async def test_an_edit_stays_while_a_paid_task_of_it_is_followed(core: Core, retention: Retention):
    claim = await core.processing()
    await core.fail(claim, ErrorKind.PROVIDER_TIMEOUT, abandon=True)
    await told(core)
    await core.pass_time(PAST_HOT)
    await retention.evict()
    assert await core.abandoned() == [claim.task_id]
    assert await core.repository.get(claim.id) is not None
    await core.process.claims.settle_abandoned(claim.task_id, status="completed")
    await told(core)
    await core.pass_time(PAST_A_LOOK)
    await retention.evict()
    assert await core.repository.get(claim.id) is None


async def test_all_tasks_ever_bought_for_an_edit_leave_with_it(core: Core, retention: Retention):
    claim = await core.processing()
    await core.bought(claim, "task-extra")
    await core.process.claims.settle_abandoned("task-extra", status="failed")
    await core.outcomes.rebuy(claim, kind=ErrorKind.PROVIDER_FAILED, automatic=True)
    (again,) = await core.claim_submit()
    await core.bought(again, "task-of-attempt-2")
    await core.fail(await core.claim("poll"), ErrorKind.PROVIDER_FAILED)
    await core.repository.retry(claim.id)
    (again,) = await core.claim_submit()
    await core.bought(again, "task-of-attempt-3")
    await core.complete(await core.claim("poll"))
    await core.succeed(await core.claim("store"))
    assert len([name for name in await core.dump() if name.startswith("task:")]) == 4
    await told(core)
    await core.pass_time(PAST_HOT)
    await retention.evict()
    assert [name for name in await core.dump() if name.startswith("task:")] == []


async def test_an_edit_tried_again_in_time_stays(core: Core, retention: Retention):
    edit_id = await failed(core)
    await told(core)
    await core.pass_time(HOT.total_seconds() - 1)
    await core.repository.retry(edit_id)
    await core.pass_time(PAST_HOT)
    await retention.evict()
    assert (await core.edit(edit_id)).status == "queued"


async def test_what_has_left_cannot_be_changed(core: Core, retention: Retention):
    edit_id = await failed(core)
    await told(core)
    await core.pass_time(PAST_HOT)
    await retention.evict()
    before = await core.dump()
    for change in (core.repository.retry, core.repository.cancel):
        with pytest.raises(errors.NotFound):
            await change(edit_id)
    await core.repository.nudge(edit_id, attempt=1, task_id="task-late")
    answer = await core.outcomes.bought(
        edit_id, attempt=1, task_id="task-late", units=1, status="pending", first_look=0, how="callback"
    )
    assert answer == "missing"
    assert await core.dump() == before


async def test_a_key_of_an_edit_that_has_left_says_which_it_was(core: Core, retention: Retention):
    key = Idempotency(key="k", fingerprint="f")
    edit_id = (await core.accept(key=key)).edit.id
    await core.repository.cancel(edit_id)
    await told(core)
    await core.pass_time(PAST_HOT)
    await retention.evict()
    with pytest.raises(LeftRedis) as left:
        await core.accept(key=key)
    assert left.value.edit_id == edit_id
    with pytest.raises(errors.IdempotencyKeyReused):
        await core.accept(key=Idempotency(key="k", fingerprint="other"))
    assert await core.repository.newest("default", before=None, limit=10) == []


async def test_many_leave_a_bounded_number_at_a_time(busy: Core, retention: Retention):
    many = 2 * EVICTED_AT_ONCE + 30
    await fill(busy, many)
    for edit_id in await busy.repository.newest("default", before=None, limit=many):
        await busy.repository.cancel(edit_id)
    await busy.pass_time(1)
    while (await busy.claims("manifest", 1000, lease=timedelta(0))).claims:
        await told(busy)
    await busy.pass_time(PAST_HOT)
    here = []
    for _ in range(3):
        more = await retention.evict()
        here.append((await busy.redis.zcard(busy.key("retention")), more))
    assert here == [(EVICTED_AT_ONCE + 30, True), (30, True), (0, False)]


async def test_a_record_that_is_damaged_holds_up_nobody(busy: Core, retention: Retention):
    without_record, unreadable, good = [await succeeded(busy) for _ in range(3)]
    busy.damaged = True
    await busy.redis.delete(busy.key("e", without_record))
    await busy.redis.set(busy.key("i", unreadable), "{")
    await busy.pass_time(PAST_HOT)
    await retention.evict()
    assert await busy.redis.exists(busy.key("e", unreadable), busy.key("e", good), busy.key("retention")) == 0


async def test_a_clock_set_back_keeps_edits_longer(core: Core, retention: Retention):
    edit_id = await succeeded(core)
    await core.pass_time(-90_000)
    await retention.evict()
    assert await core.repository.get(edit_id) is not None
