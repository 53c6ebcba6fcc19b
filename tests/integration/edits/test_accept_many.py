"""Taking many edits in: each as if it had come alone, in their order, one call of a script a chunk."""

import asyncio

import pytest

from edits import errors
from edits.db.acceptance import CHUNK, Accepted, Idempotency
from edits.db.admission import Caps
from edits.db.connection import connect
from edits.db.repository import EditRepository
from edits.db.sender import Scripts
from edits.models import Edit, EditInput, from_ms
from tests.factories import make_edit
from tests.integration.edits.core import ADDRESS, ON_ONE_ENGINE, Core, raw
from tests.parts.proxy import Proxy
from tests.parts.valkey import free_port

ROOM = Caps(max_queued=10_000)
KEY = Idempotency(key="order-17", fingerprint="a" * 64)


def fresh(edits: list[Edit]) -> list[tuple[Edit, Idempotency | None]]:
    return [(edit, None) for edit in edits]


@ON_ONE_ENGINE
async def test_many_are_queued_in_their_order_each_as_it_was_asked_for(core: Core):
    edits = [make_edit(external_id=f"order {n}", metadata={"n": str(n)}) for n in range(2 * CHUNK + 7)]
    core.scripts.watching = False
    taken = await core.repository.accept_many(fresh(edits), ROOM)
    await core.scripts.look("accept")
    assert [one.edit.id for one in taken if isinstance(one, Accepted) and not one.replayed] == [
        edit.id for edit in edits
    ]
    kept = await core.repository.get_many([edit.id for edit in edits])
    assert kept == [one.edit for one in taken if isinstance(one, Accepted)]
    assert await core.counter("accepted") == len(edits)
    assert await core.redis.get(core.key("queued")) == str(len(edits))
    assert await core.events(edits[-1].id) == ["accepted"]
    assert await core.repository.by_external_id("default", "order 5") == [edits[5].id]
    assert [claim.id for claim in await core.claim_submit(20)] == [edit.id for edit in edits[:20]]


async def test_a_chunk_is_one_call(core: Core):
    await core.queued()
    core.scripts.watching = False
    await core.redis.config_resetstat()
    await core.repository.accept_many(fresh([make_edit() for _ in range(2 * CHUNK)]), ROOM)
    assert (await core.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] in {2, 3}  # one may look at the clock


async def test_asked_again_they_are_there_once(core: Core):
    edits = [make_edit() for _ in range(5)]
    keyed: list[tuple[Edit, Idempotency | None]] = [(make_edit(), KEY)]
    first = await core.repository.accept_many([*fresh(edits), *keyed], ROOM)
    again = await core.repository.accept_many([*fresh(edits), *keyed, (make_edit(), KEY)], ROOM)
    assert again[:6] == first
    replayed = again[6]
    assert isinstance(replayed, Accepted)
    assert (replayed.edit, replayed.replayed) == (first[5].edit if isinstance(first[5], Accepted) else None, True)
    assert await core.counter("accepted") == 6


async def test_within_one_chunk_an_id_and_a_key_count_once(core: Core):
    edit, keyed = make_edit(), make_edit()
    other = KEY.model_copy(update={"fingerprint": "b" * 64})
    asked = [(edit, None), (edit, None), (keyed, KEY), (make_edit(), KEY), (make_edit(), other)]
    taken = await core.repository.accept_many(asked, ROOM)
    assert isinstance(taken.pop(), errors.IdempotencyKeyReused)
    told = [(one.edit.id, one.replayed) for one in taken if isinstance(one, Accepted)]
    assert told == [(edit.id, False), (edit.id, False), (keyed.id, False), (keyed.id, True)]
    assert await core.counter("accepted") == 2


async def test_no_more_are_taken_than_may_wait_and_the_rest_is_told_when_to_come_again(core: Core):
    await core.queued()
    taken = await core.repository.accept_many(fresh([make_edit() for _ in range(5)]), Caps(max_queued=4))
    assert [isinstance(one, Accepted) for one in taken] == [True] * 3 + [False] * 2
    for refused in taken[3:]:
        assert isinstance(refused, errors.QueueFull)
        assert refused.retry_after > 0
    assert await core.counter("accepted") == 4


async def test_the_cap_of_a_tenant_holds_for_him_alone(core: Core):
    edits = [make_edit(tenant=tenant) for tenant in ("acme", "acme", "acme", "default")]
    taken = await core.repository.accept_many(fresh(edits), Caps(max_queued=100, max_of_tenant=2))
    assert [type(one) for one in taken] == [Accepted, Accepted, errors.TenantQueueFull, Accepted]
    assert [claim.id for claim in await core.claim_submit(4)] == [edits[0].id, edits[3].id, edits[1].id]


async def test_without_memory_none_is_taken(core: Core):
    taken = await core.repository.accept_many(fresh([make_edit()] * 2), Caps(max_queued=100, no_memory=True))
    assert [type(one) for one in taken] == [errors.QueueFull] * 2
    assert await core.counter("accepted") == 0


async def test_who_sleeps_is_woken_once(core: Core):
    assert await core.claim_submit() == []
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(core.key("wake"))
        await core.repository.accept_many(fresh([make_edit() for _ in range(5)]), ROOM)
        await core.redis.publish(core.key("wake"), "the end")
        heard = []
        while "the end" not in heard:
            message = await listener.get_message(timeout=5)
            heard += [message["data"]] if message else []
    assert heard == ["submit", "the end"]


async def test_a_chunk_whose_reply_was_lost_is_taken_once(core: Core, far: Scripts, proxy: Proxy):
    repository = EditRepository(core.redis, namespace=core.namespace, scripts=far)
    proxy.lose = 1
    taken = await repository.accept_many(fresh([make_edit() for _ in range(20)]), ROOM)
    assert [type(one) for one in taken] == [Accepted] * 20
    assert (await core.counter("accepted"), proxy.lost) == (20, 1)


async def test_edits_that_are_not_alike_have_records_of_their_own(core: Core):
    now = await core.now()
    edits = [
        make_edit(tenant=tenant, priority=priority, livemode=live, cost_units=units, created_at=from_ms(now), **ends)
        for tenant, priority, live, units in (("default", "bulk", True, 7), ("acme", "interactive", False, 200_000))
        for ends in ({}, {"expires_at": from_ms(now + 60_000)}, {})
    ]
    edits.append(make_edit(input=EditInput(prompt="p", image=ADDRESS, steps=4, seed=1)))
    taken = await core.repository.accept_many(fresh(edits), ROOM)
    kept = await core.repository.get_many([edit.id for edit in edits])
    assert [one.edit for one in taken if isinstance(one, Accepted)] == kept
    told = ("tenant", "priority", "livemode", "cost_units", "input", "expires_at")
    assert [[getattr(edit, name) for name in told] for edit in kept] == [
        [getattr(edit, name) for name in told] for edit in edits
    ]
    assert [(await core.record(edit.id))["sp"] for edit in edits] == ["28"] * 6 + ["4"]


@ON_ONE_ENGINE
async def test_after_a_chunk_without_an_answer_nothing_more_is_taken(core: Core, far: Scripts, proxy: Proxy):
    edits = [make_edit() for _ in range(3 * CHUNK)]
    second = edits[CHUNK].id.encode()

    def lose_the_second(data: bytes) -> None:
        proxy.lose += 1 if second in data else 0

    proxy.before_forwarding = lose_the_second
    repository = EditRepository(core.redis, namespace=core.namespace, scripts=far)
    taken = await repository.accept_many(fresh(edits), ROOM)
    assert [type(one) for one in taken] == [
        *[Accepted] * CHUNK, *[errors.AcceptUnknown] * CHUNK, *[errors.Unavailable] * CHUNK,
    ]  # fmt: skip
    assert await core.counter("accepted") == 2 * CHUNK
    proxy.before_forwarding = None
    again = await repository.accept_many(fresh(edits), ROOM)
    assert [one.edit.id for one in again if isinstance(one, Accepted)] == [edit.id for edit in edits]
    assert await core.counter("accepted") == 3 * CHUNK


async def test_whoever_leaves_half_way_has_nothing_more_taken_for_him(core: Core, far: Scripts, proxy: Proxy):
    edits = [make_edit() for _ in range(3 * CHUNK)]
    second = edits[CHUNK].id.encode()
    reached = asyncio.Event()

    def hold_the_second(data: bytes) -> None:
        if second in data:
            proxy.hold()
            reached.set()

    proxy.before_forwarding = hold_the_second
    repository = EditRepository(core.redis, namespace=core.namespace, scripts=far)
    taking = asyncio.create_task(repository.accept_many(fresh(edits), ROOM))
    await reached.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    proxy.flow()
    await far.run(raw("read"), ids=["edit_none"])  # goes after what was on its way
    kept = await core.repository.get_many([edit.id for edit in edits])
    assert [edit.id for edit in kept] == [edit.id for edit in edits[: 2 * CHUNK]]


async def test_what_is_there_and_cannot_be_read_is_not_called_untaken(core: Core, far: Scripts, proxy: Proxy):
    there, keyed = make_edit(), make_edit()
    await core.repository.accept_many([(there, None), (keyed, KEY)], ROOM)

    def lose_the_reading(data: bytes) -> None:
        proxy.lose += 1 if b'"ids"' in data else 0

    proxy.before_forwarding = lose_the_reading
    repository = EditRepository(core.redis, namespace=core.namespace, scripts=far)
    taken = await repository.accept_many([(make_edit(), None), (there, None), (make_edit(), KEY)], ROOM)
    assert [type(one) for one in taken] == [Accepted, errors.AcceptUnknown, errors.Unavailable]
    assert await core.counter("accepted") == 3


async def test_without_redis_each_is_told_so():
    client = connect(f"redis://127.0.0.1:{free_port()}/0")
    repository = EditRepository(client, namespace="nowhere")
    taken = await asyncio.wait_for(repository.accept_many(fresh([make_edit()] * (CHUNK + 1)), ROOM), timeout=30)
    assert [type(one) for one in taken] == [errors.Unavailable] * (CHUNK + 1)
    await client.aclose()
