"""Chains: one link after the other, as many a step as processes live for it, and none that nobody runs for long."""

import asyncio

import pytest
from redis.asyncio.client import PubSub

from edits.db.schedule import HEARTBEAT, IDLE, LIVES, Link, Schedule
from edits.models import Step
from tests.integration.edits.core import LEASE, Core, raw

STEPS = [Step.SUBMIT, Step.POLL]


async def _start(core: Core, *, steps: list[Step] | None = None) -> tuple[Schedule, list[Link]]:
    worker = core.worker()
    return worker, await worker.heartbeat(steps or STEPS, [])


async def test_the_first_heartbeat_starts_one_chain_a_step(core: Core):
    _, links = await _start(core)
    assert links == [Link(Step.SUBMIT, 0, 1), Link(Step.POLL, 0, 1)]


async def test_a_missing_chain_is_started_once(core: Core):
    worker, _ = await _start(core)
    assert await worker.heartbeat(STEPS, []) == []


async def test_as_many_chains_a_step_as_processes_live_for_it(core: Core):
    await _start(core)
    _, links = await _start(core, steps=[Step.POLL])
    assert links == [Link(Step.POLL, 1, 1)]


async def test_a_link_is_followed_by_the_next_number(core: Core):
    worker, (link, _) = await _start(core)
    for number in (1, 2, 3):
        assert await worker.link(Link(link.step, link.slot, number))


async def test_a_doubled_message_ends_at_once(core: Core):
    worker, (link, _) = await _start(core)
    answers = await asyncio.gather(*[worker.link(link) for _ in range(5)])
    assert sorted(answers) == [False, False, False, False, True]


@pytest.mark.parametrize("number", [0, 5], ids=["old", "never given out"])
async def test_a_link_with_another_number_writes_nothing(core: Core, number: int):
    worker, (link, _) = await _start(core)
    await worker.link(link)
    before = await core.dump()
    assert not await worker.link(Link(link.step, link.slot, number))
    assert await core.dump() == before


async def test_a_chain_too_many_ends_when_a_process_has_left(core: Core):
    worker, _ = await _start(core)
    other, (_, second) = await _start(core)
    assert second == Link(Step.POLL, 1, 1)
    assert await other.link(second)
    await other.heartbeat(STEPS, [], leave=True)
    assert not await worker.link(Link(Step.POLL, 1, 2))
    assert await worker.link(Link(Step.POLL, 0, 1))


async def test_a_chain_that_is_run_is_not_started_again(core: Core):
    worker, links = await _start(core)
    for link in links:
        await worker.link(link)
    held = [Link(link.step, link.slot, link.number + 1) for link in links]
    for _ in range(10):
        await core.pass_time(HEARTBEAT.total_seconds())
        assert await worker.heartbeat(STEPS, held) == []


async def test_a_chain_that_nobody_runs_is_started_with_a_new_number(core: Core):
    worker, (link, _) = await _start(core)
    await worker.link(link)
    await core.pass_time(LIVES.total_seconds() + 0.1)
    started = await worker.heartbeat(STEPS, [])
    assert started == [Link(Step.SUBMIT, 0, 3), Link(Step.POLL, 0, 2)]
    assert not await worker.link(Link(Step.SUBMIT, 0, 2))  # the old chain, should it come back
    assert await worker.link(started[0])


async def test_an_overtaken_chain_keeps_nothing_alive(core: Core):
    worker, (link, _) = await _start(core)
    await worker.link(link)
    await core.pass_time(LIVES.total_seconds() + 0.1)
    await worker.heartbeat(STEPS, [])
    before = await core.redis.hget(core.key("chain", "submit"), "a0")
    await core.pass_time(1)
    await worker.heartbeat(STEPS, [Link(Step.SUBMIT, 0, 2)])
    assert await core.redis.hget(core.key("chain", "submit"), "a0") == before


async def test_the_chains_of_a_dead_process_are_taken_up_by_one_that_lives(core: Core):
    worker, links = await _start(core)
    _, second = await _start(core)
    held = [Link(link.step, link.slot, link.number) for link in links]
    for _ in range(4):
        await core.pass_time(HEARTBEAT.total_seconds())
        started = await worker.heartbeat(STEPS, held)
    assert started == []  # two chains for two processes, and now there is one process
    assert second == [Link(Step.SUBMIT, 1, 1), Link(Step.POLL, 1, 1)]
    assert not await worker.link(second[0])


async def test_a_chain_lost_with_its_process_is_started_within_seconds(core: Core):
    first, (link, _) = await _start(core)
    worker, second = await _start(core)
    await first.link(link)
    waited = 0.0
    started: list[Link] = []
    while not started and waited < 30:
        await core.pass_time(HEARTBEAT.total_seconds())
        waited += HEARTBEAT.total_seconds()
        started = await worker.heartbeat(STEPS, second)
    assert Link(Step.SUBMIT, 0, 3) in started
    assert waited <= LIVES.total_seconds() + HEARTBEAT.total_seconds()


async def test_whoever_leaves_is_forgotten_with_its_ceilings(core: Core):
    worker, _ = await _start(core)
    assert await worker.heartbeat(STEPS, [], leave=True) == []
    keys = await core.dump()
    assert [name for name in keys if name.startswith(("live", "crew", "wanted", "ceilings"))] == []


async def test_a_chain_alive_beyond_the_horizon_is_started_again(core: Core):
    worker, _ = await _start(core)
    await core.pass_time(-86_400)
    assert [link.number for link in await worker.heartbeat(STEPS, [])] == [2, 2]


# Wake-ups


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
        await listener.subscribe(core.key("wake"), *(core.key("wake", worker.process) for worker in workers[1:]))
        for worker in workers:  # the first has died: nobody hears its channel
            await worker.claim_submit(1, lease=LEASE)
            await core.pass_time(0.01)
        await core.queued()
        await core.queued()
        assert await _wakes(core, listener) == ["submit"] * 2
        assert await core.redis.zscore(core.key("idle", "submit"), workers[0].process) is None
    assert [len((await worker.claim_submit(9, lease=LEASE)).claims) for worker in workers[1:3]] == [2, 0]


async def test_when_all_is_quiet_again_all_sleep_for_the_idle_time(core: Core):
    await core.freeze()
    workers = [core.worker() for _ in range(3)]
    await core.queued()
    assert [len((await worker.claim_submit(9, lease=LEASE)).claims) for worker in workers] == [1, 0, 0]
    await core.pass_time(0.5)
    for worker in workers:
        assert (await worker.claim_submit(9, lease=LEASE)).next == pytest.approx(IDLE.total_seconds())


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


async def test_a_link_whose_answer_was_lost_may_be_repeated(core: Core):
    _, (link, _) = await _start(core)
    asked = {"step": link.step, "slot": link.slot, "number": link.number, "grace": 7000}
    assert await core.scripts.run(raw("link"), **asked, nonce="mine") == "ok"
    assert await core.scripts.run(raw("link"), **asked, nonce="mine") == "ok"
    assert await core.scripts.run(raw("link"), **asked, nonce="another's") == "stale"


@pytest.mark.parametrize("how", ["completed", "failed", "settled"])
async def test_a_free_place_in_flight_wakes_who_waits_for_one(core: Core, how: str):
    core.schedule = core.worker(in_flight=1)
    poll = await core.processing()
    await core.queued()
    if how == "settled":
        await core.fail(poll, abandon=True)
    assert (await core.schedule.claim_submit(1, lease=LEASE)).claims == []
    async with core.redis.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(core.key("wake"))
        if how == "completed":
            await core.complete(poll)
        elif how == "failed":
            await core.fail(poll)
        else:
            await core.schedule.settle_abandoned(poll.task_id, status="completed")
        assert "submit" in await _wakes(core, listener)
    assert len(await core.claim_submit()) == 1
