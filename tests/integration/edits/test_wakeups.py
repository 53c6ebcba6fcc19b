"""Wake-ups: who sleeps past new work is woken, as few as are needed, each by its own channel."""

import asyncio

import pytest
from redis.asyncio.client import PubSub

from edits.db.claims import IDLE
from tests.integration.edits.core import LEASE, Core


async def _wakes(core: Core, listener: PubSub) -> list[str]:
    """What was published until now: a mark of our own comes last."""
    await core.redis.publish(core.key("wake"), "mark")
    heard: list[str] = []
    async with asyncio.timeout(90):
        while "mark" not in heard:
            message = await listener.get_message(timeout=5)  # None for the word that it listens now
            if message is not None:
                heard.append(message["data"])
    return heard[:-1]


async def test_whoever_sleeps_past_new_work_is_woken_once(core: Core):
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(core.key("wake"))
        await core.claim_submit()
        await core.queued()
        await core.queued()
        assert await _wakes(core, listener) == ["submit"]


async def test_nobody_is_woken_when_nobody_sleeps(core: Core):
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(core.key("wake"))
        await core.storing()
        assert await _wakes(core, listener) == []


async def test_nobody_is_woken_for_work_that_comes_after_the_sleep(core: Core):
    claim = await core.submitting()
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(core.key("wake"))
        await core.claims("poll")  # sleeps for 30 s
        await core.bought(claim, first_look=35)
        assert await _wakes(core, listener) == []
        other = await core.submitting()
        await core.bought(other, first_look=5)
        assert await _wakes(core, listener) == ["poll"]


async def test_each_step_is_woken_by_its_own_work(core: Core):
    claim = await core.submitting()
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(core.key("wake"))
        for step in ("poll", "store", "adopt", "manifest"):
            await core.claims(step)
        await core.bought(claim)
        await core.complete(await core.claim("poll"))
        await core.fail(await core.claim("store"))
        await core.repository.cancel(await core.queued())
        assert await _wakes(core, listener) == ["poll", "store", "sweep"]


async def test_while_a_chain_works_nobody_else_is_woken(core: Core):
    """It comes again in a moment, and another one soon after it, should it have died."""
    await core.freeze()
    first, second, third = core.worker(), core.worker(), core.worker()
    waiting = [await core.submitting() for _ in range(2)]
    await core.bought(waiting[0])
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(core.key("wake"))
        assert len((await core.claims("poll", of=first)).claims) == 1
        sleeps = [(await core.claims("poll", of=worker)).next for worker in (second, third)]
        assert sleeps == [pytest.approx(0.475), pytest.approx(IDLE.total_seconds())]
        await core.bought(waiting[1])
        assert await _wakes(core, listener) == []


async def test_should_the_chain_that_works_not_come_again_the_next_work_wakes_the_others(core: Core):
    await core.freeze()
    waiting = [await core.submitting() for _ in range(2)]
    await core.bought(waiting[0])
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(core.key("wake"))
        assert len((await core.claims("poll", of=core.worker())).claims) == 1
        assert (await core.claims("poll", of=core.worker())).claims == []
        await core.pass_time(0.3)
        await core.bought(waiting[1])
        assert await _wakes(core, listener) == ["poll"]


async def test_two_of_those_who_sleep_are_woken_each_by_its_own_channel(core: Core):
    await core.freeze()
    workers = [core.worker() for _ in range(4)]
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(
            core.key("wake"), *(core.key("wake", worker.registry.process) for worker in workers[1:])
        )
        for worker in workers:  # the first has died: nobody hears its channel
            await worker.claims.submit(1, lease=LEASE)
            await core.pass_time(0.01)
        await core.queued()
        await core.queued()
        assert await _wakes(core, listener) == ["submit"] * 2
        assert await core.redis.zscore(core.key("idle", "submit"), workers[0].registry.process) is None
    assert [len((await worker.claims.submit(9, lease=LEASE)).claims) for worker in workers[1:3]] == [2, 0]


async def test_when_all_is_quiet_again_all_sleep_for_the_idle_time(core: Core):
    await core.freeze()
    workers = [core.worker() for _ in range(3)]
    await core.queued()
    assert [len((await worker.claims.submit(9, lease=LEASE)).claims) for worker in workers] == [1, 0, 0]
    await core.pass_time(0.5)
    for worker in workers:
        assert (await worker.claims.submit(9, lease=LEASE)).next == pytest.approx(IDLE.total_seconds())


async def test_of_those_who_sleep_until_the_same_edit_is_due_one_comes_in_time_the_others_in_turn(core: Core):
    await core.freeze()
    await core.bought(await core.submitting(), first_look=3)
    sleeps = [(await core.claims("poll", of=core.worker())).next for _ in range(3)]
    assert sleeps == [pytest.approx(3), pytest.approx(3.45), pytest.approx(3.9)]


async def test_a_callback_wakes_the_reader(core: Core):
    claim = await core.submitting()
    await core.bought(claim, "task-1", first_look=30)
    await core.claims("poll")
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(core.key("wake"))
        await core.repository.nudge(claim.id, attempt=1, task_id="task-1")
        assert await _wakes(core, listener) == ["poll"]


@pytest.mark.parametrize("how", ["completed", "failed", "settled"])
async def test_a_free_place_in_flight_wakes_who_waits_for_one(core: Core, how: str):
    core.process = core.worker(in_flight=1)
    poll = await core.processing()
    await core.queued()
    if how == "settled":
        await core.fail(poll, abandon=True)
    assert (await core.process.claims.submit(1, lease=LEASE)).claims == []
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(core.key("wake"))
        if how == "completed":
            await core.complete(poll)
        elif how == "failed":
            await core.fail(poll)
        else:
            await core.process.claims.settle_abandoned(poll.task_id, status="completed")
        assert "submit" in await _wakes(core, listener)
    assert len(await core.claim_submit()) == 1
