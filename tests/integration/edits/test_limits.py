"""The provider's limits hold over all workers: creates a second, tasks in flight, reads a second, and its refusals."""

import asyncio
import math

import pytest

from edits import limiter
from edits.models import Wait
from edits.schedule import Schedule
from tests.integration.edits.core import LEASE, Core

PROBE = 30
"""Seconds that a probe may take."""
CLIMB = 10
"""Seconds from reopening to the full rate."""


@pytest.fixture
def busy(core: Core) -> Core:
    """Without the checks after each script: these tests make many."""
    core.scripts.watching = False
    return core


async def _fill(core: Core, edits: int) -> None:
    await asyncio.gather(*[core.queued() for _ in range(edits)])


async def _slots(worker: Schedule, most: int = 100) -> list[float]:
    return [claim.slot for claim in (await worker.claim_submit(most, lease=LEASE)).claims]


async def test_slots_are_one_interval_apart(busy: Core):
    await _fill(busy, 10)
    slots = await _slots(busy.worker(creates=20))
    assert len(slots) == 5  # what falls into the look-ahead of 0.2 s
    assert [round(later - slot, 3) for slot, later in zip(slots, slots[1:], strict=False)] == [0.05] * 4
    assert slots[0] == 0


async def test_without_a_token_nothing_is_claimed_and_the_next_one_is_told(busy: Core):
    await _fill(busy, 10)
    worker = busy.worker(creates=2)
    assert await _slots(worker) == [0]
    answer = await worker.claim_submit(5, lease=LEASE)
    assert answer.claims == []
    assert answer.next == pytest.approx(0.3, abs=0.1)  # a slot in half a second, given out 0.2 s ahead
    assert (await busy.limiter.gate()).reason is Wait.RATE_LIMIT


@pytest.mark.parametrize("rate", [0.5, 5.0, 7.3], ids=["slow", "default", "odd"])
async def test_over_a_minute_creates_never_pass_the_rate(busy: Core, rate: float):
    await _fill(busy, math.ceil(rate * 60) + 10)
    workers = [busy.worker(creates=rate) for _ in range(3)]
    began, sent = await busy.now(), []
    turn = 0
    while (at := await busy.now() - began) < 60_000:
        answer = await workers[turn % 3].claim_submit(4, lease=LEASE)
        after = await busy.now() - began
        sent += [(at + claim.slot * 1000, after + claim.slot * 1000) for claim in answer.claims]
        await busy.pass_time(max(0.05, answer.next if not answer.claims else 0.05))
        turn += 1
    early, late = sorted(slot for slot, _ in sent), sorted(slot for _, slot in sent)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            elapsed = (late[last] - early[first]) / 1000
            assert last - first + 1 <= rate * elapsed + 1 + 0.001
    assert len([slot for slot in early if slot < 60_000]) >= rate * 60 - 2  # and hardly below it


async def test_the_cap_in_flight_is_never_passed(busy: Core):
    await _fill(busy, 40)
    workers = [busy.worker(in_flight=7) for _ in range(3)]
    answers = await asyncio.gather(*[worker.claim_submit(4, lease=LEASE) for worker in workers])
    claims = [claim for answer in answers for claim in answer.claims]
    assert len(claims) == 7
    assert (await busy.limiter.gate()).reason is Wait.IN_FLIGHT_CAP
    for claim in claims[:3]:
        await busy.bought(claim)
    assert (await workers[0].claim_submit(4, lease=LEASE)).claims == []
    for poll in (await busy.claims("poll", 2)).claims:
        await busy.complete(poll)
    assert len((await workers[0].claim_submit(4, lease=LEASE)).claims) == 2


async def test_of_two_ceilings_the_lowest_holds_while_both_live(busy: Core):
    await _fill(busy, 40)
    low, high = busy.worker(in_flight=3, creates=10), busy.worker(in_flight=30, creates=1000)
    for worker in (low, high):
        await worker.heartbeat([], [])
    first = await high.claim_submit(20, lease=LEASE)
    assert len(first.claims) == 3
    assert first.claims[1].slot == pytest.approx(0.1)
    await low.heartbeat([], [], leave=True)
    assert len((await high.claim_submit(20, lease=LEASE)).claims) == 0  # the slots that are given out stand
    await busy.pass_time(0.5)
    assert len((await high.claim_submit(40, lease=LEASE)).claims) == 27


async def test_the_ceiling_of_a_dead_process_ends_with_its_heartbeat(busy: Core):
    await _fill(busy, 40)
    low, high = busy.worker(in_flight=3), busy.worker(in_flight=30)
    await low.heartbeat([], [])
    await high.heartbeat([], [])
    await busy.pass_time(7.1)
    await high.heartbeat([], [])
    assert len((await high.claim_submit(40, lease=LEASE)).claims) == 30


async def test_a_process_that_has_not_said_its_ceiling_keeps_its_own(busy: Core):
    await _fill(busy, 40)
    await busy.worker(in_flight=30).heartbeat([], [])
    assert len((await busy.worker(in_flight=3).claim_submit(40, lease=LEASE)).claims) == 3


# Refusals


async def _until_open(core: Core) -> float:
    """Seconds until a create is let through."""
    answer = await core.schedule.claim_submit(1, lease=LEASE)
    assert answer.claims == []
    return answer.next


async def test_after_a_refusal_nobody_creates_until_its_time_is_over(busy: Core):
    await _fill(busy, 3)
    await busy.limiter.close("create", after=8)
    assert await _until_open(busy) == pytest.approx(8, abs=0.3)
    gate = await busy.limiter.gate()
    assert gate.reason is Wait.COOLDOWN
    assert gate.until is not None
    await busy.pass_time(8)
    assert len(await busy.claim_submit(3)) == 1


async def test_only_the_first_refusal_of_a_burst_makes_the_back_off_grow(busy: Core):
    await _fill(busy, 3)
    waits = []
    for _ in range(8):
        for _ in range(5):
            await busy.limiter.close("create")
        waits.append(await _until_open(busy) if len(waits) < 4 else 15)
        closed = await busy.redis.hget(busy.key("limit", "create"), "back")
        assert int(closed) == min(60_000, 1000 * 2 ** (len(waits) - 1))
        await busy.pass_time(int(closed) / 1000)
    assert waits[:4] == [pytest.approx(seconds, abs=0.3) for seconds in (1, 2, 4, 8)]


async def test_a_longer_wait_asked_for_within_a_burst_is_kept(busy: Core):
    await _fill(busy, 1)
    await busy.limiter.close("create")
    await busy.limiter.close("create", after=9)
    await busy.limiter.close("create", after=2)
    assert await _until_open(busy) == pytest.approx(9, abs=0.3)


async def test_a_very_long_wait_asked_for_holds_for_an_hour(busy: Core):
    """Beyond an hour a time counts as one of a clock that was set back; a probe an hour is no harm."""
    await _fill(busy, 1)
    await busy.limiter.close("create", after=86_400)
    assert await _until_open(busy) == pytest.approx(15)
    await busy.pass_time(3500)
    assert await busy.claim_submit() == []
    await busy.pass_time(101)
    assert len(await busy.claim_submit()) == 1


async def test_half_open_lets_one_probe_through_and_the_next_after_its_time(busy: Core):
    await _fill(busy, 10)
    await busy.limiter.close("create")
    await busy.pass_time(1)
    answer = await busy.schedule.claim_submit(10, lease=LEASE)
    assert (len(answer.claims), answer.half) == (1, True)
    answer = await busy.schedule.claim_submit(10, lease=LEASE)
    assert (answer.claims, answer.half) == ([], False)
    assert answer.next <= 1
    await busy.pass_time(PROBE)
    assert len(await busy.claim_submit(10)) == 1


async def test_a_refused_probe_closes_for_twice_as_long(busy: Core):
    await _fill(busy, 10)
    await busy.limiter.close("create")
    await busy.pass_time(1)
    (claim,) = await busy.claim_submit(10)
    await busy.limiter.close("create")
    await busy.release(claim)
    assert await _until_open(busy) == pytest.approx(2, abs=0.3)


async def test_after_a_probe_got_through_the_rate_climbs_back(busy: Core):
    await _fill(busy, 200)
    worker = busy.worker(creates=100)
    await busy.limiter.close("create")
    await busy.pass_time(1)
    await _slots(worker)
    await busy.limiter.open("create")
    gaps = []
    for _ in range(4):
        slots = await _slots(worker)
        gaps.append(slots[1] - slots[0])
        await busy.pass_time(CLIMB / 3)
    assert gaps[0] == pytest.approx(0.05, abs=0.002)  # a fifth of the rate
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == pytest.approx(0.01, abs=0.001)


async def test_after_reopening_the_back_off_begins_anew(busy: Core):
    await _fill(busy, 3)
    await busy.limiter.close("create")
    await busy.pass_time(1)
    await busy.limiter.close("create")
    await busy.pass_time(2)
    await busy.claim_submit()
    await busy.limiter.open("create")
    await busy.limiter.close("create")
    assert await _until_open(busy) == pytest.approx(1, abs=0.3)


async def test_opening_what_is_open_changes_nothing(busy: Core):
    await busy.queued()
    before = await busy.dump()
    await busy.limiter.open("create")
    await busy.limiter.open("read")
    assert await busy.dump() == before


@pytest.mark.parametrize("state", ["closed", "probing", "climbing", "blocked"])
async def test_no_limit_stays_shut_when_the_clock_is_set_back(busy: Core, state: str):
    await _fill(busy, 60)
    worker = busy.worker(creates=100)
    if state == "blocked":
        await busy.limiter.block("no credit")
        await worker.claim_submit(1, lease=LEASE)
        await busy.pass_time(-86_400)
        assert (await worker.claim_submit(1, lease=LEASE)).probe
        return
    await busy.limiter.close("create")
    if state != "closed":
        await busy.pass_time(1)
        await _slots(worker)
    if state == "climbing":
        await busy.limiter.open("create")
    await busy.pass_time(-86_400)
    slots = await _slots(worker)
    assert slots
    if state == "climbing":
        assert slots[1] - slots[0] == pytest.approx(0.01, abs=0.001)


async def test_a_refusal_closes_also_after_the_clock_was_set_back(busy: Core):
    await _fill(busy, 3)
    await busy.limiter.close("create", after=5)
    await busy.pass_time(-86_400)
    await busy.limiter.close("create", after=5)
    assert await _until_open(busy) == pytest.approx(5, abs=0.3)


# The account


async def test_while_the_account_is_refused_nothing_is_claimed_and_one_asks_for_it(busy: Core):
    await _fill(busy, 3)
    await busy.limiter.block("402: no credit")
    await busy.limiter.block("another word for it")
    gate = await busy.limiter.gate()
    assert (gate.reason, gate.message) == (Wait.PROVIDER_ACCOUNT, "402: no credit")
    assert not (await busy.schedule.claim_submit(1, lease=LEASE)).probe
    await busy.pass_time(15)
    answers = [await busy.schedule.claim_submit(1, lease=LEASE) for _ in range(3)]
    assert [answer.probe for answer in answers] == [True, False, False]
    assert not any(answer.claims for answer in answers)


async def test_an_account_that_answers_again_lets_one_probe_through_first(busy: Core):
    await _fill(busy, 3)
    await busy.limiter.block("no credit")
    await busy.limiter.unblock()
    assert (await busy.limiter.gate()).message == ""
    answer = await busy.schedule.claim_submit(3, lease=LEASE)
    assert (len(answer.claims), answer.half) == (1, True)


async def test_a_queued_edit_shows_what_holds_the_queue(busy: Core):
    edit_id = await busy.queued()
    await busy.limiter.block("no credit")
    assert (await busy.edit(edit_id)).waiting_for is Wait.PROVIDER_ACCOUNT
    await busy.limiter.unblock()
    await busy.limiter.close("create", after=5)
    await busy.claim_submit()
    assert (await busy.edit(edit_id)).waiting_for is Wait.COOLDOWN


async def test_what_held_the_queue_is_named_in_the_timeline(core: Core):
    edit_id = await core.queued()
    await core.limiter.close("create", after=5)
    await core.claim_submit()
    await core.pass_time(5)
    await core.claim_submit()
    events = await core.repository.timeline(edit_id) or []
    assert (events[-1].type, events[-1].wait) == ("submitting", Wait.COOLDOWN)


async def test_many_may_look_at_queued_edits_at_once(busy: Core):
    ids = [await busy.queued() for _ in range(3)]
    found = await asyncio.gather(*[busy.repository.get(ids[n % 3]) for n in range(100)])
    assert all(edit is not None and edit.status == "queued" for edit in found)


# Reads


async def _to_poll(core: Core, edits: int) -> None:
    await _fill(core, edits)
    for claim in await core.claim_submit(edits):
        await core.bought(claim)


async def test_polls_take_read_tokens(busy: Core):
    await _to_poll(busy, 8)
    busy.schedule = busy.worker(reads=10)
    answer = await busy.claims("poll", 8)
    assert [round(claim.slot, 3) for claim in answer.claims] == pytest.approx([0, 0.1, 0.2], abs=0.002)
    assert answer.next > 0.05
    assert (await busy.claims("poll", 8)).claims == []


async def test_closed_reads_hold_polls_but_no_other_step(busy: Core):
    await _to_poll(busy, 2)
    (poll, _) = (await busy.claims("poll")).claims
    await busy.complete(poll)
    await _to_poll(busy, 1)
    await busy.limiter.close("read", after=5)
    answer = await busy.claims("poll")
    assert (answer.claims, answer.next) == ([], pytest.approx(5, abs=0.3))
    assert len((await busy.claims("store")).claims) == 1
    await busy.pass_time(5)
    answer = await busy.claims("poll")
    assert (len(answer.claims), answer.half) == (1, True)


async def test_a_read_outside_of_a_claim_waits_for_its_token(busy: Core):
    worker = busy.worker(reads=20)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*[worker.read_token() for _ in range(11)])
    assert 0.45 < loop.time() - began < 2
    assert await busy.counter("granted:read") == 11


async def test_names_of_limits_are_those_of_the_scripts():
    assert set(limiter.LimitName.__args__) == {"create", "read"}  # type: ignore[attr-defined] # a Literal's own
