"""When the provider refuses: all workers stand back, one probe goes first, the rate climbs back."""

import asyncio

import pytest

from edits.db.claims import IDLE
from edits.models import Wait
from tests.integration.edits.core import LEASE, Core, fill, slots

PROBE = 30
"""Seconds that a probe may take."""
CLIMB = 6
"""Seconds from reopening to the full rate."""


async def _until_open(core: Core) -> float:
    """Seconds until a create is let through."""
    answer = await core.process.claims.submit(1, lease=LEASE)
    assert answer.claims == []
    return answer.next


async def test_after_a_refusal_nobody_creates_until_its_time_is_over(busy: Core):
    await fill(busy, 3)
    await busy.limiter.open("create", after=8)
    assert await _until_open(busy) == pytest.approx(8, abs=0.8)
    assert (await busy.repository.gate()).reason is Wait.COOLDOWN
    await busy.pass_time(8)
    assert len(await busy.claim_submit(3)) == 1


async def test_only_the_first_refusal_of_a_burst_makes_the_back_off_grow(busy: Core):
    await fill(busy, 3)
    waits: list[float] = []
    for _ in range(8):
        for _ in range(5):
            await busy.limiter.open("create")
        waits.append(await _until_open(busy) if len(waits) < 4 else 15)
        closed = int(await busy.redis.hget(busy.key("limit", "create"), "back") or 0)
        assert closed == min(30_000, 1000 * 2 ** (len(waits) - 1))
        await busy.pass_time(closed / 1000)
    assert waits[:4] == [pytest.approx(seconds, abs=0.8) for seconds in (1, 2, 4, 8)]


async def test_a_longer_wait_asked_for_within_a_burst_is_kept(busy: Core):
    await fill(busy, 1)
    await busy.limiter.open("create")
    await busy.limiter.open("create", after=9)
    await busy.limiter.open("create", after=2)
    assert await _until_open(busy) == pytest.approx(9, abs=0.8)


async def test_a_very_long_wait_asked_for_holds_for_an_hour(busy: Core):
    """Beyond an hour a time counts as one of a clock that was set back; a probe an hour is no harm."""
    await fill(busy, 1)
    await busy.limiter.open("create", after=86_400)
    assert await _until_open(busy) == pytest.approx(IDLE.total_seconds())
    await busy.pass_time(3500)
    assert await busy.claim_submit() == []
    await busy.pass_time(101)
    assert len(await busy.claim_submit()) == 1


async def test_half_open_lets_one_probe_through_and_the_next_after_its_time(busy: Core):
    await fill(busy, 10)
    await busy.limiter.open("create")
    await busy.pass_time(1)
    answer = await busy.process.claims.submit(10, lease=LEASE)
    assert (len(answer.claims), answer.half) == (1, {"create"})
    answer = await busy.process.claims.submit(10, lease=LEASE)
    assert (answer.claims, answer.half) == ([], set())
    assert answer.next <= 1
    await busy.pass_time(PROBE)
    assert len(await busy.claim_submit(10)) == 1


async def test_a_refused_probe_closes_for_twice_as_long(busy: Core):
    await fill(busy, 10)
    await busy.limiter.open("create")
    await busy.pass_time(1)
    (claim,) = await busy.claim_submit(10)
    await busy.limiter.open("create")
    await busy.release(claim)
    assert await _until_open(busy) == pytest.approx(2, abs=0.8)


async def test_after_a_probe_got_through_the_rate_climbs_back(busy: Core):
    await fill(busy, 200)
    worker = busy.worker(creates=100)
    await busy.limiter.open("create")
    await busy.pass_time(1)
    await slots(worker)
    await busy.limiter.close("create")
    gaps = []
    for _ in range(4):
        given = await slots(worker)
        gaps.append(given[1] - given[0])
        await busy.pass_time(CLIMB / 3)
    assert gaps[0] == pytest.approx(0.05, abs=0.01)  # a fifth of the rate
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == pytest.approx(0.01, abs=0.001)


async def test_after_reopening_the_back_off_begins_anew(busy: Core):
    await fill(busy, 3)
    await busy.limiter.open("create")
    await busy.pass_time(1)
    await busy.limiter.open("create")
    await busy.pass_time(2)
    await busy.claim_submit()
    await busy.limiter.close("create")
    await busy.limiter.open("create")
    assert await _until_open(busy) == pytest.approx(1, abs=0.8)


async def test_a_late_refusal_of_an_earlier_burst_closes_nothing_again(busy: Core):
    await fill(busy, 3)
    await busy.limiter.open("create", age=0.1)
    await busy.pass_time(1)
    await busy.claim_submit()
    await busy.limiter.close("create")
    await busy.limiter.open("create", age=3)
    assert await busy.claim_submit()


async def test_all_workers_hear_of_a_refusal_at_once(busy: Core):
    heard: list[str] = []
    async with busy.redis.pubsub() as listener:
        await listener.subscribe(busy.key("wake"))
        for _ in range(3):
            await busy.limiter.open("create")
        await busy.redis.publish(busy.key("wake"), "end")
        while "end" not in heard:
            message = await listener.get_message(timeout=1)
            heard += [message["data"]] if message and message["type"] == "message" else []
    assert heard == ["open", "end"]


async def test_closing_what_is_closed_changes_nothing(busy: Core):
    await busy.queued()
    before = await busy.dump()
    await busy.limiter.close("create")
    await busy.limiter.close("read")
    assert await busy.dump() == before


@pytest.mark.parametrize("state", ["closed", "probing", "climbing", "blocked"])
async def test_no_limit_stays_shut_when_the_clock_is_set_back(busy: Core, state: str):
    await fill(busy, 60)
    worker = busy.worker(creates=100)
    if state == "blocked":
        await busy.limiter.block("no credit")
        await worker.claims.submit(1, lease=LEASE)
        await busy.pass_time(-86_400)
        assert (await worker.claims.submit(1, lease=LEASE)).probe
        return
    await busy.limiter.open("create")
    if state != "closed":
        await busy.pass_time(1)
        await slots(worker)
    if state == "climbing":
        await busy.limiter.close("create")
    await busy.pass_time(-86_400)
    given = await slots(worker)
    assert given
    if state == "climbing":
        assert given[1] - given[0] == pytest.approx(0.01, abs=0.001)


async def test_a_refusal_closes_also_after_the_clock_was_set_back(busy: Core):
    await fill(busy, 3)
    await busy.limiter.open("create", after=5)
    await busy.pass_time(-86_400)
    await busy.limiter.open("create", after=5)
    assert await _until_open(busy) == pytest.approx(5, abs=0.8)


# The account


async def test_while_the_account_is_refused_nothing_is_claimed_and_one_asks_for_it(busy: Core):
    await fill(busy, 3)
    await busy.limiter.block("402: no credit")
    await busy.limiter.block("another word for it")
    gate = await busy.repository.gate()
    assert (gate.reason, gate.message) == (Wait.PROVIDER_ACCOUNT, "402: no credit")
    assert not (await busy.process.claims.submit(1, lease=LEASE)).probe
    await busy.pass_time(15)
    answers = [await busy.process.claims.submit(1, lease=LEASE) for _ in range(3)]
    assert [answer.probe for answer in answers] == [True, False, False]
    assert not any(answer.claims for answer in answers)


async def test_an_account_that_answers_again_lets_one_probe_through_first(busy: Core):
    await fill(busy, 3)
    await busy.limiter.block("no credit")
    await busy.limiter.unblock()
    assert (await busy.repository.gate()).message == ""
    answer = await busy.process.claims.submit(3, lease=LEASE)
    assert (len(answer.claims), answer.half) == (1, {"create"})


async def test_a_queued_edit_shows_what_holds_the_queue(busy: Core):
    edit_id = await busy.queued()
    await busy.limiter.block("no credit")
    assert (await busy.edit(edit_id)).waiting_for is Wait.PROVIDER_ACCOUNT
    await busy.limiter.unblock()
    await busy.limiter.open("create", after=5)
    await busy.claim_submit()
    assert (await busy.edit(edit_id)).waiting_for is Wait.COOLDOWN


async def test_what_held_the_queue_is_named_in_the_timeline(core: Core):
    edit_id = await core.queued()
    await core.limiter.open("create", after=5)
    await core.claim_submit()
    await core.pass_time(5)
    await core.claim_submit()
    events = await core.repository.timeline(edit_id) or []
    assert (events[-1].type, events[-1].wait) == ("submitting", Wait.COOLDOWN)


async def test_many_may_look_at_queued_edits_at_once(busy: Core):
    ids = [await busy.queued() for _ in range(3)]
    found = await asyncio.gather(*[busy.repository.get(ids[n % 3]) for n in range(100)])
    assert all(edit is not None and edit.status == "queued" for edit in found)
