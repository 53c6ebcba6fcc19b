"""Limits of the queue: in all, by tenant and by memory, and `Retry-After` of refusals."""

import asyncio

import pytest

from config.values import MemoryCap
from edits import errors, stats
from edits.db.acceptance import Idempotency
from edits.db.admission import LONGEST, UNKNOWN, Admission, Caps, Drain
from tests.integration.edits.core import LEASE, ON_ONE_ENGINE, Core, fill

KEY = Idempotency(key="order-1", fingerprint="f" * 64)


async def refused(core: Core, **given: object) -> errors.QueueFull:
    with pytest.raises(errors.QueueFull) as caught:
        await core.accept(**given)
    return caught.value


async def test_a_tenant_at_its_cap_is_refused_and_no_other(core: Core):
    for _ in range(2):
        await core.accept(tenant="acme", max_of_tenant=2)
    assert isinstance(await refused(core, tenant="acme", max_of_tenant=2), errors.TenantQueueFull)
    await core.accept(tenant="bolt", max_of_tenant=2)
    await core.claim_submit(1)
    await core.accept(tenant="acme", max_of_tenant=2)


async def test_the_cap_in_all_counts_every_tenant(core: Core):
    for tenant in ("acme", "bolt", "core"):
        await core.accept(tenant=tenant, max_queued=3)
    assert not isinstance(await refused(core, tenant="dune", max_queued=3), errors.TenantQueueFull)


@pytest.mark.parametrize("caps", [{"max_queued": 1}, {"max_of_tenant": 1}, {"no_memory": True}], ids=str)
async def test_what_is_refused_leaves_nothing_and_fixes_no_key(core: Core, caps: dict[str, int]):
    await core.queued()
    before = await core.dump()
    await refused(core, key=KEY, **caps)
    assert await core.dump() == before


@pytest.mark.parametrize("caps", [{"max_queued": 1}, {"max_of_tenant": 1}, {"no_memory": True}], ids=str)
async def test_an_edit_that_is_there_is_shown_by_its_key_however_full_it_is(core: Core, caps: dict[str, int]):
    first = await core.accept(key=KEY)
    assert (await core.accept(key=KEY, **caps)).edit.id == first.edit.id
    room = Caps(**{"max_queued": 1000} | caps)
    await core.repository.require_room(room, tenant="default", key=KEY.key)
    with pytest.raises(errors.QueueFull):
        await core.repository.require_room(room, tenant="default", key="order-2")


async def test_accepting_costs_the_same_however_many_tenants_wait(core: Core):
    async def calls() -> int:
        stats = await core.redis.info("commandstats")
        return sum(row["calls"] for name, row in stats.items() if name != "cmdstat_info")

    core.scripts.watching = False
    costs = []
    for others in (0, 300):
        await asyncio.gather(*[core.queued(tenant=f"t{n}") for n in range(others)])
        before = await calls()
        await core.queued(tenant="acme")
        costs.append(await calls() - before)
    assert costs[1] <= costs[0]


async def test_who_is_refused_comes_back_when_a_part_of_the_queue_has_drained(core: Core):
    core.scripts.watching = False
    await fill(core, 200)
    assert (await refused(core, max_queued=200)).retry_after == UNKNOWN
    for _ in range(10):  # ten a second
        await core.pass_time(1)
        await core.claim_submit(10)
        await fill(core, 10)
    assert (await refused(core, max_queued=200)).retry_after == pytest.approx(
        1, abs=0.01
    )  # 2 places, the least is a second
    assert (await refused(core, max_queued=100)).retry_after == pytest.approx(10, rel=0.1)
    await core.pass_time(5000)
    assert (await refused(core, max_queued=100)).retry_after > 60  # nothing has moved since
    await core.pass_time(60)
    await refused(core, max_queued=100)
    await core.pass_time(60)
    assert (await refused(core, max_queued=100)).retry_after == LONGEST


def test_a_tenant_waits_for_its_share_of_what_drains():
    drain = Drain()
    told = {"outcome": "tenant_full", "waiting": 100, "tenants": 4, "now": 0, "submitted": 0}
    drain.wait(told, cap=100)
    assert drain.wait(told | {"now": 10_000, "submitted": 19}, cap=100) == pytest.approx(2)


async def test_memory_is_a_share_of_what_redis_may_use_or_of_its_host(core: Core):
    await core.redis.config_set("maxmemory", 0)
    info = await core.redis.info("memory")
    share = Admission(core.redis, max_queued=1, max_of_tenant=None, memory=MemoryCap(percent=50))
    half = info["total_system_memory"] // 2
    assert await share.memory_used() == pytest.approx(info["used_memory"] / half, rel=0.3)
    assert not (await share.caps()).no_memory
    tight = Admission(core.redis, max_queued=1, max_of_tenant=None, memory=MemoryCap(bytes=1024))
    assert (await tight.caps()).no_memory


async def test_memory_is_looked_at_once_a_second_and_its_last_answer_holds(core: Core):
    now = 0.0
    cap = MemoryCap(percent=100)
    admission = Admission(core.redis, max_queued=1, max_of_tenant=None, memory=cap, clock=lambda: now)
    first = await admission.memory_used()
    await core.redis.config_set("maxmemory", 100)
    try:
        assert await admission.memory_used() == first
        now = 1.0
        assert (await admission.caps()).no_memory
    finally:
        await core.redis.config_set("maxmemory", 0)


@ON_ONE_ENGINE
async def test_a_tenant_that_keeps_one_edit_in_the_queue_gets_no_more_than_its_share(core: Core):
    for _ in range(40):
        await core.queued(tenant="acme")
    served = []
    for _ in range(20):  # one that comes back as soon as it was served
        if await core.redis.zcard(core.key("q", "bolt")) == 0:
            await core.queued(tenant="bolt")
        served += [claim.fields["tn"] for claim in await core.claim_submit(1, lease=LEASE)]
    assert served.count("bolt") in {9, 10, 11}


async def test_tenants_that_left_are_forgotten_once_they_owe_nothing(core: Core):
    for n in range(30):
        await core.queued(tenant=f"t{n}")
    assert len(await core.claim_submit(30)) == 30
    assert await core.claim_submit(1) == []
    assert await core.redis.zcard(core.key("tenants")) == 0


async def test_the_oldest_in_the_queue_is_found_behind_younger_ones(core: Core):
    await core.queued(priority="bulk")
    await core.pass_time(600)
    for tenant in ("default", "acme"):
        await core.queued(tenant=tenant, priority="interactive")
        await core.queued(tenant=tenant)
    text = (await stats.render(core.repository, scope="cluster")).decode()
    (waited,) = [line.split()[1] for line in text.splitlines() if line.startswith("retouch_oldest_waiting_seconds ")]
    assert float(waited) == pytest.approx(600, abs=5)
