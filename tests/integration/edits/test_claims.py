"""Claims are leases: one holder at a time, a fence against the late, and nothing is forgotten when a holder dies."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from edits.db.claims import IDLE
from edits.db.sender import ScriptRefused
from edits.models import CostState, Step, Wait
from tests.integration.edits.core import LEASE, Core, raw

FAR = 86_400
"""Seconds, further than any snooze."""


async def test_an_edit_to_submit_is_claimed_once_with_its_intent_written(core: Core):
    edit_id = await core.queued(prompt="make it night")
    (claim,) = await core.claim_submit(5)
    assert await core.claim_submit(5) == []
    edit = await core.edit(edit_id)
    assert (edit.status, edit.waiting_for) == ("submitting", Wait.SUBMIT)
    assert claim.edit() == edit
    assert (claim.attempt, claim.fence, claim.slot) == (1, 1, 0)
    assert abs(await core.now() - claim.moment("sa")) < 1000
    assert await core.events(edit_id) == ["accepted", "submitting"]


async def test_many_claimers_never_share_an_edit(core: Core):
    ids = {await core.queued() for _ in range(30)}
    core.scripts.watching = False
    answers = await asyncio.gather(*[core.claim_submit(4) for _ in range(10)])
    claimed = [claim.id for claims in answers for claim in claims]
    assert sorted(claimed) == sorted(ids)


@pytest.mark.parametrize("step", ["poll", "store", "adopt"])
async def test_a_claimed_edit_is_out_of_sight_until_its_lease_ends(core: Core, step: str):
    first = await _claimed(core, step)
    assert (await core.claims(step)).claims == []
    await core.pass_time(LEASE.total_seconds() + 0.1)
    (again,) = (await core.claims(step)).claims
    assert again.id == first.id
    assert again.fence == first.fence + 1


@pytest.mark.parametrize("step", ["poll", "store", "adopt"])
async def test_whoever_was_overtaken_decides_nothing(core: Core, step: str):
    first = await _claimed(core, step)
    await core.pass_time(LEASE.total_seconds() + 0.1)
    await core.claims(step)
    before = await core.dump()
    assert not await core.outcomes.snooze(first, delay=1)
    assert not await core.fail(first)
    assert await core.dump() == before


async def _claimed(core: Core, step: str) -> Any:
    return await {"poll": core.processing, "store": core.storing, "adopt": core.adopting}[step]()


async def test_a_create_nobody_answered_for_is_looked_for_after_its_lease(core: Core):
    claim = await core.submitting()
    await core.pass_time(LEASE.total_seconds() - 0.5)
    assert (await core.claims("adopt")).claims == []
    await core.pass_time(0.6)
    (found,) = (await core.claims("adopt")).claims
    edit = await core.edit(claim.id)
    assert (edit.status, edit.waiting_for, edit.cost_state) == ("submitting", Wait.ANSWER_LOST, CostState.UNKNOWN)
    assert found.moment("sa") == claim.moment("sa")
    before = await core.dump()
    assert not await core.release(claim)
    assert await core.dump() == before


async def test_the_late_answer_of_an_overtaken_create_still_counts(core: Core):
    claim = await core.submitting()
    await core.pass_time(LEASE.total_seconds() + 1)
    await core.claims("adopt")
    assert await core.bought(claim, "task-late") == "taken_over"
    assert (await core.edit(claim.id)).task_id == "task-late"


@pytest.mark.parametrize("step", ["poll", "store", "adopt", "manifest"])
async def test_an_edit_due_beyond_the_horizon_is_looked_at_now(core: Core, step: str):
    """The clock was set back: what was due in a second would else wait for a day."""
    if step == "manifest":
        await core.repository.cancel(await core.queued())
    else:
        await core.outcomes.snooze(await _claimed(core, step), delay=1)
    await core.pass_time(-FAR)
    assert len((await core.claims(step)).claims) == 1


async def test_a_create_in_hand_while_the_clock_is_set_back_is_not_forgotten(core: Core):
    claim = await core.submitting()
    await core.pass_time(-FAR)
    (found,) = (await core.claims("adopt")).claims
    assert found.id == claim.id


async def test_events_stay_in_order_when_the_clock_is_set_back(core: Core):
    claim = await core.submitting()
    await core.pass_time(-60)
    await core.bought(claim)
    await core.complete(await core.claim("poll"))
    await core.succeed(await core.claim("store"))
    durations = [event.duration_ms for event in await core.repository.timeline(claim.id) or []]
    assert all(duration >= 0 for duration in durations)
    edit = await core.edit(claim.id)
    assert edit.finished_at is not None
    assert edit.finished_at >= edit.created_at


async def test_the_next_look_is_the_first_due_time(core: Core):
    claim = await core.processing()
    assert await core.outcomes.snooze(claim, delay=3)
    assert 2 < (await core.claims("poll")).next <= 3
    await core.pass_time(3)
    assert len((await core.claims("poll")).claims) == 1


async def test_a_sleep_of_a_day_is_cut_to_an_hour_since_the_horizon_is_there(core: Core):
    claim = await core.processing()
    await core.outcomes.snooze(claim, delay=FAR)
    assert (await core.claims("poll")).claims == []
    assert await core.due_in("poll", claim.id) == pytest.approx(3600, abs=1)


async def test_a_step_with_nothing_to_do_sleeps_for_the_idle_time(core: Core):
    assert (await core.claims("poll")).next == pytest.approx(IDLE.total_seconds())
    assert (await core.process.claims.submit(1, lease=LEASE)).next == pytest.approx(IDLE.total_seconds())


async def test_adopt_wakes_up_when_a_submit_lease_ends(core: Core):
    await core.queued()
    await core.claim_submit(lease=timedelta(seconds=4))
    assert (await core.claims("adopt")).next == pytest.approx(4, abs=0.9)


async def test_more_work_than_permits_means_at_once_again(core: Core):
    await core.queued()
    await core.queued()
    assert (await core.process.claims.submit(1, lease=LEASE)).next == 0


async def test_no_more_is_claimed_than_asked_for(core: Core):
    for _ in range(5):
        await core.bought(await core.submitting())
    assert len((await core.claims("poll", 3)).claims) == 3
    assert len((await core.claims("poll", 3)).claims) == 2


@pytest.mark.parametrize("script", ["claim_submit", "claim_due", "abandoned"])
async def test_a_claim_repeated_with_its_nonce_gets_the_same_answer(core: Core, script: str):
    arguments = await _something_to_claim(core, script)
    first = await core.scripts.run(raw(script), **arguments)
    assert json.loads(first)["claims"]
    before = await core.dump()
    assert await core.scripts.run(raw(script), **arguments) == first
    assert await core.dump() == before
    assert not json.loads(await core.scripts.run(raw(script), **arguments | {"nonce": "another"}))["claims"]


async def _something_to_claim(core: Core, script: str) -> dict[str, Any]:
    plain: dict[str, Any] = {"nonce": "n", "k": 5, "lease": 40_000, "idle": 15_000, "chain": "c"}
    if script == "claim_submit":
        await core.queued()
        return plain | {"lookahead": 200, "rate": 10, "max_in_flight": 10}
    claim = await core.submitting()
    await core.bought(claim)
    if script == "claim_due":
        return plain | {"step": Step.POLL, "wakes": Step.POLL, "with_input": True, "lookahead": 200, "needs": []}
    await core.bought(claim, "task-extra")
    return plain | {"op": "claim"}


async def test_what_does_not_belong_into_a_set_is_removed_when_found(core: Core):
    """A record may be gone or elsewhere, though no script leaves it so: nothing is claimed that cannot be worked on."""
    core.scripts.watching = False
    there = await core.queued()
    await core.redis.zadd(core.key("due", "poll"), {"edit_gone": 1, there: 1})
    await core.redis.zadd(core.key("due", "submit"), {"edit_gone": 1})
    await core.redis.zadd(core.key("due", "manifest"), {there: 1})
    await core.redis.zadd(core.key("q", "default"), {"edit_gone": 1})
    for step in ("poll", "adopt", "manifest"):
        assert (await core.claims(step)).claims == []
    assert [claim.id for claim in await core.claim_submit(2)] == [there]
    assert [name for name in await core.dump() if name in {"due:poll", "due:manifest", "q:default"}] == []


async def test_a_tenant_without_a_queue_is_skipped(core: Core):
    core.scripts.watching = False
    edit_id = await core.queued()
    await core.redis.zadd(core.key("tenants"), {"ghost": -1})
    assert [claim.id for claim in await core.claim_submit()] == [edit_id]
    assert await core.redis.zscore(core.key("tenants"), "ghost") is None


async def test_an_edit_on_which_the_script_fails_stops_no_other_for_longer_than_a_lease(core: Core):
    core.scripts.watching, core.damaged = False, True
    broken, good = [await core.storing() for _ in range(2)]
    await core.redis.delete(core.key("x", broken.id))
    await core.redis.set(core.key("x", broken.id), "not a hash")
    await core.redis.zadd(core.key("due", "store"), {broken.id: 1, good.id: 2})
    with pytest.raises(ScriptRefused, match="WRONGTYPE"):
        await core.claims("store", 1)
    assert [claim.id for claim in (await core.claims("store", 1)).claims] == [good.id]
