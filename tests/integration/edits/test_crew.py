"""The crew: who lives and runs what, said again only where it changed."""

import json
from collections import Counter

from edits.db import checks
from edits.db.schedule import HEARTBEAT, LIVES, Link, Schedule
from edits.models import Step
from tests.integration.edits.core import Core

STEPS = [Step.SUBMIT, Step.POLL]
BEAT = HEARTBEAT.total_seconds()
GONE = LIVES.total_seconds() + 0.1


async def linked(worker: Schedule, links: list[Link]) -> list[Link]:
    """The first link of each chain has begun; the chains as whoever runs them names them."""
    assert all([await worker.link(link) for link in links])
    return [Link(link.step, link.slot, link.number + 1) for link in links]


async def settled(core: Core, *, steps: list[Step]) -> tuple[Schedule, list[Link]]:
    """A process that runs its chains and has said so."""
    worker = core.worker()
    held = await linked(worker, await worker.heartbeat(steps, []))
    assert await worker.heartbeat(steps, held) == []
    return worker, held


async def commands(core: Core) -> Counter[str]:
    told = await core.redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): row["calls"] for name, row in told.items()})


async def test_a_beat_that_says_nothing_new_asks_little_and_writes_two_lines(busy: Core):
    core = busy
    worker, held = await settled(core, steps=list(Step))
    await core.pass_time(BEAT)
    keys = await core.dump()
    before = await commands(core)
    assert await worker.heartbeat(list(Step), held) == []
    spent = await commands(core) - before
    after = await core.dump()
    assert sum(spent.values()) - spent["info"] <= 12, spent
    assert {name for name in after if after[name] != keys[name]} == {"live", "served"}


async def test_a_beat_of_one_among_many_costs_no_more(busy: Core):
    core = busy
    crew = [await settled(core, steps=list(Step)) for _ in range(8)]
    for worker, held in crew:  # that all eight are here is news to each
        await worker.heartbeat(list(Step), held)
    before = await commands(core)
    worker, held = crew[3]
    assert await worker.heartbeat(list(Step), held) == []
    spent = await commands(core) - before
    assert sum(spent.values()) - spent["info"] <= 12, spent


async def test_the_ceilings_of_a_dead_process_hold_no_longer_than_it_is_thought_alive(core: Core):
    wide, narrow = core.worker(in_flight=20), core.worker(in_flight=10)
    held = await linked(wide, await wide.heartbeat(STEPS, []))
    await narrow.heartbeat(STEPS, [])
    assert await core.redis.hget(core.key("ceilings"), "max_in_flight") == "10"
    waited = 0.0
    while await core.redis.hget(core.key("ceilings"), "max_in_flight") == "10":
        await core.pass_time(BEAT)
        waited += BEAT
        await wide.heartbeat(STEPS, held)
    assert await core.redis.hget(core.key("ceilings"), "max_in_flight") == "20"
    assert waited <= LIVES.total_seconds() + BEAT
    assert list(await core.redis.hgetall(core.key("crew"))) == [wide.process]


async def test_a_chain_that_its_own_process_misses_has_its_grace_from_then_on(core: Core):
    worker, held = await settled(core, steps=STEPS)
    await core.pass_time(60)
    assert await worker.heartbeat(STEPS, held) == []
    assert await worker.heartbeat(STEPS, held[1:]) == []  # its next link is on its way
    await core.pass_time(GONE - 0.2)
    assert await worker.heartbeat(STEPS, held[1:]) == []
    await core.pass_time(0.2)
    assert await worker.heartbeat(STEPS, held[1:]) == [Link(Step.SUBMIT, 0, held[0].number + 1)]


async def test_a_chain_that_goes_over_to_another_process_is_never_missed(core: Core):
    one, held = await settled(core, steps=[Step.POLL])
    other, second = await settled(core, steps=[Step.POLL])
    link = held[0]
    for turn in range(12):
        await core.pass_time(BEAT)
        taker, rest = (one, other) if turn % 2 else (other, one)
        assert await taker.link(link)
        link = Link(link.step, link.slot, link.number + 1)
        assert await taker.heartbeat([Step.POLL], [link, *(second if taker is other else [])]) == []
        assert await rest.heartbeat([Step.POLL], second if rest is other else []) == []


async def test_who_was_thought_dead_and_comes_back_keeps_no_overtaken_chain_alive(core: Core):
    sleeper, held = await settled(core, steps=[Step.POLL])
    other = core.worker()
    await other.heartbeat([Step.POLL], [])
    await core.pass_time(GONE)
    (taken,) = await other.heartbeat([Step.POLL], [])
    assert taken == Link(Step.POLL, 0, held[0].number + 1)
    for _ in range(2):  # it still waits in the link that was overtaken
        await sleeper.heartbeat([Step.POLL], held)
        assert json.loads(await core.redis.hget(core.key("crew"), sleeper.process))["runs"] == ""
    await core.pass_time(GONE)
    assert Link(Step.POLL, 0, taken.number + 1) in await sleeper.heartbeat([Step.POLL], held)


async def test_how_many_chains_there_may_be_follows_who_lives(core: Core):
    one, held = await settled(core, steps=[Step.POLL])
    other, second = await settled(core, steps=[Step.POLL])
    assert await other.link(second[0])
    await core.pass_time(GONE)
    await one.heartbeat([Step.POLL], held)
    assert not await one.link(Link(Step.POLL, 1, second[0].number + 1))
    assert await one.link(held[0])


async def test_the_crew_is_told_as_it_runs(core: Core):
    worker, held = await settled(core, steps=STEPS)
    await core.pass_time(60)
    await worker.heartbeat(STEPS, held)
    crew = await checks.crew(core.redis, core.namespace)
    assert (crew.processes, crew.on[Step.POLL], crew.on[Step.STORE]) == (1, 1, 0)
    assert (crew.chains[Step.POLL], crew.chains[Step.STORE]) == (1, 0)
    await core.pass_time(GONE)
    crew = await checks.crew(core.redis, core.namespace)
    assert (crew.processes, sum(crew.on.values()), sum(crew.chains.values()), crew.ceilings) == (0, 0, 0, {})
