"""The provider's limits hold over all workers: creates a second, tasks in flight, reads a second, and its refusals."""

import asyncio
import itertools
import math

import pytest

from edits.db import circuits
from edits.models import Wait
from tests.integration.edits.core import LEASE, ON_ONE_ENGINE, Core, fill, slots


async def test_slots_are_one_interval_apart(busy: Core):
    await fill(busy, 10)
    given = await slots(busy.worker(creates=20))
    assert len(given) == 5  # what falls into the look-ahead of 0.2 s
    assert [round(later - slot, 3) for slot, later in itertools.pairwise(given)] == [0.05] * 4
    assert given[0] == 0


async def test_without_a_token_nothing_is_claimed_and_the_next_one_is_told(busy: Core):
    await fill(busy, 10)
    worker = busy.worker(creates=2)
    assert await slots(worker) == [0]
    answer = await worker.claims.submit(5, lease=LEASE)
    assert answer.claims == []
    assert 0 < answer.next <= 0.3  # a slot in half a second, given out 0.2 s ahead
    assert (await busy.repository.gate()).reason is Wait.RATE_LIMIT


@ON_ONE_ENGINE
@pytest.mark.parametrize("rate", [0.5, 5.0, 7.3], ids=["slow", "default", "odd"])
async def test_over_a_minute_creates_never_pass_the_rate(busy: Core, rate: float):
    await fill(busy, math.ceil(rate * 60) + 10)
    workers = [busy.worker(creates=rate) for _ in range(3)]
    began, sent = await busy.now(), []
    turn = 0
    while (at := await busy.now() - began) < 60_000:
        answer = await workers[turn % 3].claims.submit(4, lease=LEASE)
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
    await fill(busy, 40)
    workers = [busy.worker(in_flight=7) for _ in range(3)]
    answers = await asyncio.gather(*[worker.claims.submit(4, lease=LEASE) for worker in workers])
    claims = [claim for answer in answers for claim in answer.claims]
    assert len(claims) == 7
    assert (await busy.repository.gate()).reason is Wait.IN_FLIGHT_CAP
    for claim in claims[:3]:
        await busy.bought(claim)
    assert (await workers[0].claims.submit(4, lease=LEASE)).claims == []
    for poll in (await busy.claims("poll", 2)).claims:
        await busy.complete(poll)
    assert len((await workers[0].claims.submit(4, lease=LEASE)).claims) == 2


async def test_of_two_ceilings_the_lowest_holds_while_both_live(busy: Core):
    await fill(busy, 40)
    low, high = busy.worker(in_flight=3, creates=10), busy.worker(in_flight=30, creates=1000)
    for worker in (low, high):
        await worker.registry.heartbeat([])
    first = await high.claims.submit(20, lease=LEASE)
    assert len(first.claims) == 3
    assert first.claims[1].slot == pytest.approx(0.1)
    await low.registry.heartbeat([], leave=True)
    await busy.pass_time(0.5)
    assert len((await high.claims.submit(40, lease=LEASE)).claims) == 27


async def test_the_ceiling_of_a_dead_process_ends_with_its_heartbeat(busy: Core):
    await fill(busy, 40)
    low, high = busy.worker(in_flight=3), busy.worker(in_flight=30)
    await low.registry.heartbeat([])
    await high.registry.heartbeat([])
    await busy.pass_time(7.1)
    await high.registry.heartbeat([])
    assert len((await high.claims.submit(40, lease=LEASE)).claims) == 30


async def test_a_process_that_has_not_said_its_ceiling_keeps_its_own(busy: Core):
    await fill(busy, 40)
    await busy.worker(in_flight=30).registry.heartbeat([])
    assert len((await busy.worker(in_flight=3).claims.submit(40, lease=LEASE)).claims) == 3


# Reads


async def _to_poll(core: Core, edits: int) -> None:
    await fill(core, edits)
    for claim in await core.claim_submit(edits):
        await core.bought(claim)


async def test_polls_take_read_tokens(busy: Core):
    await _to_poll(busy, 8)
    busy.process = busy.worker(reads=10)
    answer = await busy.claims("poll", 8)
    assert [round(claim.slot, 3) for claim in answer.claims] == pytest.approx([0, 0.1, 0.2], abs=0.002)
    assert answer.next > 0.05
    assert (await busy.claims("poll", 8)).claims == []


async def test_closed_reads_hold_polls_but_no_other_step(busy: Core):
    await _to_poll(busy, 2)
    (poll, _) = (await busy.claims("poll")).claims
    await busy.complete(poll)
    await _to_poll(busy, 1)
    await busy.limiter.open("read", after=5)
    answer = await busy.claims("poll")
    assert (answer.claims, answer.next) == ([], pytest.approx(5, abs=0.8))
    assert len((await busy.claims("store")).claims) == 1
    await busy.pass_time(5)
    answer = await busy.claims("poll")
    assert (len(answer.claims), answer.half) == (1, {"read"})


async def test_a_read_outside_of_a_claim_waits_for_its_token(busy: Core):
    await busy.thaw()
    worker = busy.worker(reads=20)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*[worker.tokens.read() for _ in range(11)])
    assert loop.time() - began > 0.45
    assert await busy.counter("granted:read") == 11


async def test_names_of_limits_are_those_of_the_scripts():
    assert set(circuits.Operation.__args__) == {"create", "read", "history", "download", "storage"}  # type: ignore[attr-defined] # a Literal's own
