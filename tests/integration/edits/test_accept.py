"""Taking edits in: once, in one round trip, in order, and not beyond what may wait or fit."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from redis.exceptions import RedisError

from edits import errors
from edits.db.acceptance import Idempotency
from edits.db.admission import Caps
from edits.db.connection import connect
from edits.db.sender import SCRIPTS
from edits.models import CostState, ErrorKind, Priority, Wait, new_id
from tests.factories import MOMENT, make_edit
from tests.integration.edits.core import Core
from tests.parts.valkey import free_port

KEY = Idempotency(key="order-17", fingerprint="a" * 64)


async def test_an_accepted_edit_is_queued_as_it_was_asked_for(core: Core):
    asked = make_edit(external_id="order 17", metadata={"shop": "köln"}, prompt="make it night", width=512, height=256)
    accepted = await core.repository.accept(asked, None, Caps(10))
    kept = await core.edit(asked.id)
    assert kept == accepted.edit
    assert not accepted.replayed
    assert kept == asked.model_copy(
        update={
            "created_at": kept.created_at,
            "updated_at": kept.created_at,
            "waiting_for": Wait.FAIR_SHARE,
            "waiting_since": kept.created_at,
        }
    )
    assert kept.cost_state is CostState.RESERVED
    assert await core.events(asked.id) == ["accepted"]


async def test_accepting_is_one_round_trip(core: Core):
    await core.queued()  # loads the scripts
    core.scripts.watching = False
    before = await core.redis.info("commandstats")
    await core.accept(key=KEY, external_id="order 17", expires_at=MOMENT + timedelta(hours=1))
    after = await core.redis.info("commandstats")
    sent = {name: stat["calls"] - before.get(name, {"calls": 0})["calls"] for name, stat in after.items()}
    assert sent["cmdstat_evalsha"] == 1
    assert sent.get("cmdstat_eval", 0) == 0
    assert sent.get("cmdstat_script|load", 0) == 0


async def test_the_same_key_and_body_give_the_first_edit(core: Core):
    first = await core.accept(key=KEY)
    again = await core.accept(key=KEY)
    assert again.replayed
    assert again.edit == first.edit
    assert await core.counter("accepted") == 1


async def test_the_same_key_with_another_body_is_refused(core: Core):
    await core.accept(key=KEY)
    before = await core.dump()
    with pytest.raises(errors.IdempotencyKeyReused):
        await core.accept(key=KEY.model_copy(update={"fingerprint": "b" * 64}))
    assert await core.dump() == before


async def test_a_key_belongs_to_its_tenant(core: Core):
    first = await core.accept(key=KEY)
    other = await core.accept(key=KEY, tenant="acme")
    assert other.edit.id != first.edit.id
    assert not other.replayed


async def test_a_replayed_key_shows_the_edit_as_it_is_now(core: Core):
    claim = await core.storing()
    edit = await core.edit(claim.id)
    await core.redis.set(core.key("idem", "default", "late"), f'{{"id":"{edit.id}","fp":"f"}}')
    await core.succeed(claim)
    again = await core.accept(key=Idempotency(key="late", fingerprint="f"))
    assert again.replayed
    assert again.edit.status == "succeeded"


async def test_a_key_lives_a_day_and_never_less_than_its_edit(core: Core):
    name = core.key("idem", "default", KEY.key)
    accepted = await core.accept(key=KEY)
    assert await core.redis.pttl(name) == -1
    await core.repository.cancel(accepted.edit.id)
    assert 23.9 < await core.redis.pttl(name) / 3_600_000 <= 24
    assert (await core.accept(key=KEY)).replayed


async def test_a_key_whose_edit_took_longer_than_a_day_ends_with_it(core: Core):
    accepted = await core.accept(key=KEY)
    await core.pass_time(30 * 3600)
    await core.repository.cancel(accepted.edit.id)
    assert 0 < await core.redis.pttl(core.key("idem", "default", KEY.key)) <= 1000


async def test_two_at_once_with_one_key_make_one_edit(core: Core):
    core.scripts.watching = False
    answers = await asyncio.gather(*[core.accept(key=KEY) for _ in range(20)])
    assert len({answer.edit.id for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert await core.counter("accepted") == 1


@pytest.mark.parametrize("key", [None, KEY], ids=["without a key", "with a key"])
async def test_the_same_id_twice_is_one_edit(core: Core, key: Idempotency | None):
    edit = make_edit(external_id="order 17")
    first = await core.repository.accept(edit, key, Caps(10))
    before = await core.dump()
    again = await core.repository.accept(edit, key, Caps(10))
    assert again == first
    assert await core.dump() == before


async def test_a_full_queue_refuses_and_keeps_nothing(core: Core):
    await core.queued(tenant="acme")
    await core.queued()
    before = await core.dump()
    with pytest.raises(errors.QueueFull, match="2 edits are waiting") as refused:
        await core.accept(key=KEY, max_queued=2)
    assert refused.value.retry_after > 0
    assert await core.dump() == before


async def test_a_claimed_edit_makes_room_in_the_queue(core: Core):
    await core.queued()
    await core.claim_submit()
    await core.accept(max_queued=1)


async def test_a_full_queue_still_answers_for_a_known_key(core: Core):
    first = await core.accept(key=KEY, max_queued=1)
    assert (await core.accept(key=KEY, max_queued=1)).edit == first.edit


async def test_edits_are_found_by_their_external_id_within_their_tenant(core: Core):
    ids = [await core.queued(external_id="order 17") for _ in range(3)]
    await core.queued(external_id="order 18")
    await core.queued(external_id="order 17", tenant="acme")
    assert await core.repository.by_external_id("default", "order 17") == sorted(ids, reverse=True)
    assert await core.repository.by_external_id("default", "order 19") == []


async def test_a_tenants_edits_are_listed_newest_first_page_by_page(core: Core):
    ids = sorted([await core.queued(id=new_id()) for _ in range(5)], reverse=True)
    first = await core.repository.newest("default", before=None, limit=3)
    assert first == ids[:3]
    assert await core.repository.newest("default", before=first[-1], limit=3) == ids[3:]


async def test_an_edit_that_was_not_submitted_in_time_fails_and_is_not_bought(core: Core):
    edit_id = await core.queued(expires_at=MOMENT + timedelta(seconds=5))
    await core.pass_time(5.1)
    assert await core.claim_submit() == []
    edit = await core.edit(edit_id)
    assert edit.error is not None
    assert (edit.status, edit.error.kind, edit.cost_state) == ("failed", ErrorKind.EXPIRED, CostState.RELEASED)
    assert "nothing was bought" in edit.error.message


async def test_an_expired_edit_takes_no_token_from_those_behind_it(core: Core):
    await core.queued(expires_at=MOMENT + timedelta(seconds=5), priority=Priority.INTERACTIVE)
    behind = await core.queued()
    await core.pass_time(6)
    assert [claim.id for claim in await core.claim_submit(1)] == [behind]
    assert await core.counter("granted:create") == 1


async def test_edits_expire_also_while_nothing_may_be_submitted(core: Core):
    first = await core.queued()
    behind = await core.queued(expires_at=MOMENT + timedelta(seconds=5))
    await core.limiter.block("no credit")
    await core.pass_time(6)
    assert (await core.process.claims.submit(1, lease=timedelta(seconds=40))).claims == []
    assert (await core.edit(behind)).status == "failed"
    assert (await core.edit(first)).status == "queued"


async def test_interactive_edits_go_first_and_bulk_edits_last(core: Core):
    bulk = await core.queued(priority=Priority.BULK)
    standard = await core.queued()
    interactive = await core.queued(priority=Priority.INTERACTIVE)
    assert [claim.id for claim in await core.claim_submit(3)] == [interactive, standard, bulk]


async def test_a_bulk_edit_is_one_that_came_an_hour_later_so_it_does_not_starve(core: Core):
    bulk = await core.queued(priority=Priority.BULK)
    await core.pass_time(3601)
    later = await core.queued()
    assert [claim.id for claim in await core.claim_submit(2)] == [bulk, later]


async def test_edits_of_one_priority_are_served_as_they_came(core: Core):
    ids = []
    for _ in range(4):
        ids.append(await core.queued())
        await core.pass_time(0.01)
    assert [claim.id for claim in await core.claim_submit(4)] == ids


async def test_tenants_take_turns(core: Core):
    for tenant in ("acme", "bolt"):
        for _ in range(3):
            await core.queued(tenant=tenant)
    served = [claim.fields["tn"] for claim in await core.claim_submit(6)]
    assert served in (["acme", "bolt"] * 3, ["bolt", "acme"] * 3)


async def test_a_tenant_of_double_weight_is_served_twice_as_often(core: Core):
    await core.redis.hset(core.key("weights"), "acme", 2)
    for _ in range(8):
        await core.queued(tenant="acme")
        await core.queued(tenant="bolt")
    served = [claim.fields["tn"] for claim in await core.claim_submit(6)]
    assert served.count("acme") == 4


async def test_a_newcomer_does_not_catch_up_on_the_time_before_it_came(core: Core):
    for _ in range(10):
        await core.queued(tenant="acme")
    await core.claim_submit(6)
    for _ in range(4):
        await core.queued(tenant="bolt")
    served = [claim.fields["tn"] for claim in await core.claim_submit(4)]
    assert served.count("acme") >= 1
    assert served.count("bolt") >= 2


@contextlib.asynccontextmanager
async def _full_memory(core: Core):
    await core.redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        await core.redis.config_set("maxmemory", 0)


async def test_at_the_memory_limit_new_edits_are_refused_and_accepted_ones_still_end(core: Core):
    claim = await core.submitting()
    await core.queued()
    async with _full_memory(core):
        before = await core.dump()
        with pytest.raises(errors.QueueFull) as refused:
            await core.accept(key=KEY)
        assert refused.value.retry_after >= 1
        assert await core.dump() == before
        assert await core.bought(claim) == "taken_over"
        assert await core.complete(await core.claim("poll"))
        assert await core.succeed(await core.claim("store"))
        (other,) = await core.claim_submit()
        assert await core.fail(other)
        await core.process.registry.heartbeat([])
    assert (await core.edit(claim.id)).status == "succeeded"


async def test_at_the_memory_limit_scripts_can_be_loaded_anew(core: Core):
    claim = await core.submitting()
    async with _full_memory(core):
        await core.redis.script_flush()
        assert await core.bought(claim) == "taken_over"


def test_only_accept_is_refused_at_the_memory_limit():
    refused = {name for name, script in SCRIPTS.items() if script.text.splitlines()[0] == "#!lua"}
    assert refused == {"accept"}


async def test_without_redis_accepting_is_refused_at_once():
    redis = connect(f"redis://127.0.0.1:{free_port()}/0")
    try:
        with pytest.raises(errors.Unavailable):
            await Core(redis, "nowhere").accept()
        with pytest.raises(RedisError):
            await redis.ping()
    finally:
        await redis.aclose()
