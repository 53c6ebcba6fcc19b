"""The worker registry: what a heartbeat writes and costs, and that the dead are forgotten with their ceilings."""

from collections import Counter

from edits.db.workers import HEARTBEAT, LIVES
from edits.models import Step
from tests.integration.edits.core import Core

STEPS = [Step.SUBMIT, Step.POLL]
BEAT = HEARTBEAT.total_seconds()
GONE = LIVES.total_seconds() + 0.1


async def commands(core: Core) -> Counter[str]:
    told = await core.redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): row["calls"] for name, row in told.items()})


async def test_a_heartbeat_that_says_nothing_new_asks_little_and_writes_two_lines(busy: Core):
    core = busy
    await core.process.registry.heartbeat(list(Step))
    await core.pass_time(BEAT)
    keys = await core.dump()
    before = await commands(core)
    await core.process.registry.heartbeat(list(Step))
    spent = await commands(core) - before
    after = await core.dump()
    assert sum(spent.values()) - spent["info"] <= 12, spent
    assert {name for name in after if after[name] != keys[name]} == {"live", "served"}


async def test_a_heartbeat_of_one_among_many_costs_no_more(busy: Core):
    core = busy
    processes = [core.worker() for _ in range(8)]
    for process in processes:
        await process.registry.heartbeat(list(Step))
    before = await commands(core)
    await processes[3].registry.heartbeat(list(Step))
    spent = await commands(core) - before
    assert sum(spent.values()) - spent["info"] <= 12, spent


async def test_the_ceilings_of_a_dead_process_hold_no_longer_than_it_counts_as_alive(core: Core):
    wide, narrow = core.worker(in_flight=20), core.worker(in_flight=10)
    await wide.registry.heartbeat(STEPS)
    await narrow.registry.heartbeat(STEPS)
    assert await core.redis.hget(core.key("ceilings"), "max_in_flight") == "10"
    waited = 0.0
    while await core.redis.hget(core.key("ceilings"), "max_in_flight") == "10":
        await core.pass_time(BEAT)
        waited += BEAT
        await wide.registry.heartbeat(STEPS)
    assert await core.redis.hget(core.key("ceilings"), "max_in_flight") == "20"
    assert waited <= LIVES.total_seconds() + BEAT
    assert list(await core.redis.hgetall(core.key("workers"))) == [wide.registry.process]


async def test_a_process_that_counted_as_dead_and_comes_back_is_registered_again(core: Core):
    sleeper, other = core.worker(in_flight=10), core.worker(in_flight=20)
    await sleeper.registry.heartbeat(STEPS)
    await core.pass_time(GONE)
    await other.registry.heartbeat([Step.POLL])
    assert list(await core.redis.hgetall(core.key("workers"))) == [other.registry.process]
    await sleeper.registry.heartbeat(STEPS)
    assert len(await core.redis.hgetall(core.key("workers"))) == 2
    assert await core.redis.hget(core.key("ceilings"), "max_in_flight") == "10"


async def test_a_process_that_leaves_is_forgotten_with_its_ceilings(core: Core):
    await core.process.registry.heartbeat(STEPS)
    await core.process.registry.heartbeat(STEPS, leave=True)
    assert [name for name in await core.dump() if name.startswith(("live", "workers", "ceilings"))] == []


async def test_nothing_about_chains_is_kept_in_redis(core: Core):
    for process in (core.process, core.worker()):
        await process.registry.heartbeat(list(Step))
    assert set(await core.dump()) <= {"live", "workers", "ceilings", "served", "clock", "tick"}
