"""Engine and chains: they sleep until there is work, do not multiply, end when told, and outlast Redis.

Links are carried from one to the next as Celery would carry them, without Celery.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import pytest

from config.settings import Settings
from edits.db import schedule
from edits.db.schedule import Link
from edits.models import EditStatus, Step, Wait
from tests.integration.workers.conftest import OpenRounds, with_leases
from tests.integration.workers.rounds import Rounds, until
from workers import chains
from workers import engine as engine_of_workers
from workers.engine import Engine
from workers.permits import PERMITS

ALL = list(Step)


@dataclass
class Carrier:
    """Runs chains on their engine."""

    engine: Engine = field(init=False)
    started: list[Link] = field(default_factory=list)
    carrying: bool = True
    running: "dict[Step, Future[None]]" = field(default_factory=dict)

    def start_chain(self, link: Link) -> None:
        self.started.append(link)
        if self.carrying:
            self.running[link.step] = asyncio.run_coroutine_threadsafe(self._follow(link), self.engine.loop)

    async def _follow(self, link: Link) -> None:
        following: Link | None = link
        while following is not None and not self.engine.stopping:
            following = await chains.run_link(self.engine, following)

    async def one(self, link: Link) -> Link | None:
        """This one link, run to its end."""
        running = asyncio.run_coroutine_threadsafe(chains.run_link(self.engine, link), self.engine.loop)
        return await asyncio.wrap_future(running)


@contextlib.contextmanager
def process(settings: Settings, *, steps: list[Step] = ALL, carrying: bool = True) -> Iterator[Carrier]:
    """An engine as in a worker process; without `carrying` its chains are only asked for."""
    carrier = Carrier(carrying=carrying)
    carrier.engine = Engine(settings, steps, start_chain=carrier.start_chain)
    carrier.engine.start()
    try:
        yield carrier
    finally:
        carrier.engine.stop()
        carrier.engine.close()


async def asleep(rounds: Rounds, step: Step) -> bool:
    count: int = await rounds.redis.zcard(rounds.key("idle", step))
    return count > 0


async def number_of(rounds: Rounds, step: Step, slot: int = 0) -> int:
    return int(await rounds.redis.hget(rounds.key("chain", step), f"n{slot}") or -1)


async def ended(rounds: Rounds, edit_id: str) -> bool:
    return (await rounds.edit(edit_id)).status.is_final


async def started(carrier: Carrier, step: Step) -> Link:
    await until(lambda: any(link.step is step for link in carrier.started))
    return next(link for link in carrier.started if link.step is step)


@pytest.fixture
def quick(rounds: Rounds) -> Rounds:
    """Tasks take no time worth speaking of, as chains run by the real clock."""
    rounds.sandbox.options(latency=0.05, wait=0.01)
    return rounds


async def test_a_sleeping_engine_wakes_as_soon_as_an_edit_is_accepted(quick: Rounds) -> None:
    with process(quick.clients.settings):
        for step in (Step.SUBMIT, Step.POLL, Step.STORE):
            await until(partial(asleep, quick, step))
        edit_id = await quick.accept()
        await until(lambda: ended(quick, edit_id))
        waited = {str(event.wait): event.duration_ms for event in await quick.clients.schedule.timeline(edit_id)}
        assert (await quick.edit(edit_id)).status is EditStatus.SUCCEEDED
        assert waited[Wait.FAIR_SHARE] < 2000  # asleep it would have been for 30 s
        assert waited[Wait.COPY] < 2000
    assert quick.bought() == 1


async def test_all_that_is_asked_for_is_done_and_bought_once(quick: Rounds) -> None:
    ids = [await quick.accept(f"number {number}") for number in range(40)]
    with process(quick.clients.settings), process(quick.clients.settings):
        for edit_id in ids:
            await until(partial(ended, quick, edit_id), within=20)
    assert {(await quick.edit(edit_id)).status for edit_id in ids} == {EditStatus.SUCCEEDED}
    assert quick.bought() == len(ids)
    assert quick.sandbox.ledger()["duplicates"] == {"same_input": 0, "same_webhook": 0}


async def test_permits_bound_the_claims_and_work_outlives_its_slice(rounds: Rounds) -> None:
    rounds.sandbox.options(outage="hang")
    permits = PERMITS[Step.SUBMIT]
    for _ in range(permits + 6):
        await rounds.accept()
    settings = with_leases(rounds.clients.settings, create_timeout=120, send_window=120, submit_lease=300)
    with process(settings, steps=[Step.SUBMIT]) as carrier:
        await until(lambda: carrier.engine.free(Step.SUBMIT) == 0)
        number = await number_of(rounds, Step.SUBMIT)

        async def went_on() -> bool:
            return await number_of(rounds, Step.SUBMIT) > number + 1

        await until(went_on)  # next links run while the creates of the one before hang
        assert await rounds.redis.zcard(rounds.key("due", "submit")) == permits
        assert await rounds.redis.zcard(rounds.key("q", "default")) == 6
        carrier.engine.stop()  # and once more at the end: who is told twice waits for no create
    assert await rounds.redis.zcard(rounds.key("due", "submit")) == permits


async def test_what_still_runs_when_an_engine_closes_is_ended_while_its_clients_are_open(rounds: Rounds) -> None:
    ended: list[bool] = []

    async def outlives(engine: Engine) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(await engine.clients.repository.redis.ping())

    with process(rounds.clients.settings, steps=[Step.SWEEP]) as carrier:
        await until(lambda: asleep(rounds, Step.SWEEP))
        asyncio.run_coroutine_threadsafe(outlives(carrier.engine), carrier.engine.loop)
    assert ended == [True]  # and a connection left open would fail this test where the loop closes


async def test_stopping_ends_an_idle_slice_and_hands_its_chain_on(rounds: Rounds) -> None:
    with process(rounds.clients.settings, carrying=False) as carrier:
        link = await started(carrier, Step.POLL)
        running = asyncio.create_task(carrier.one(link))
        await until(lambda: asleep(rounds, Step.POLL))
        assert not running.done()
        carrier.engine.stop()
        assert await asyncio.wait_for(running, 2) == Link(Step.POLL, link.slot, link.number + 1)


async def test_an_idle_slice_ends_without_another_claim_and_the_next_link_makes_it(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "IDLE_SLICE", 0.5)

    async def sleeps_until() -> float | None:
        return await rounds.redis.zscore(rounds.key("idle", "poll"), carrier.engine.clients.schedule.process)

    with process(rounds.clients.settings, steps=[Step.POLL], carrying=False) as carrier:
        link = await started(carrier, Step.POLL)
        running = asyncio.create_task(carrier.one(link))
        await until(lambda: asleep(rounds, Step.POLL))
        first = await sleeps_until()
        following = await running
        assert following == Link(Step.POLL, link.slot, link.number + 1)
        assert await sleeps_until() == first
        await carrier.one(following)
        second = await sleeps_until()
        assert first is not None
        assert second is not None
        assert second > first


@pytest.fixture
def asleep_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle chains look after an hour, unless somebody wakes them."""
    monkeypatch.setattr(schedule, "IDLE", timedelta(hours=1))
    monkeypatch.setattr(chains, "IDLE_SLICE", 3600.0)


@pytest.mark.usefixtures("asleep_for_long")
async def test_after_a_pause_of_the_whole_machine_idle_chains_look_at_once(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_of_workers, "OVERSLEPT", 0.0)  # any pause is one
    with process(rounds.clients.settings, steps=[Step.POLL]):
        await until(lambda: asleep(rounds, Step.POLL))
        ((_, first),) = await rounds.redis.zrange(rounds.key("idle", "poll"), 0, -1, withscores=True)

        async def looked_again() -> bool:
            ((_, until_then),) = await rounds.redis.zrange(rounds.key("idle", "poll"), 0, -1, withscores=True)
            return float(until_then) > first

        await until(looked_again)


@pytest.mark.usefixtures("asleep_for_long")
async def test_whoever_hears_that_the_data_may_lack_something_looks_at_once(rounds: Rounds) -> None:
    with process(rounds.clients.settings, steps=[Step.ADOPT]) as carrier:
        await until(lambda: asleep(rounds, Step.ADOPT))
        await until(lambda: len(carrier.engine.running) == 1)
        now = round(await rounds.now() * 1000)
        doubt = {"shut": now, "mark": now - 1000, "settled": now - 1000, "lost": 1, "crew": 1}
        await rounds.redis.hset(rounds.key("doubt"), mapping=doubt)

        async def is_looked_for() -> bool:
            return bool(await rounds.redis.hexists(rounds.key("doubt"), "holder"))

        await until(is_looked_for)


async def test_what_is_in_hand_is_finished_before_the_engine_closes(rounds: Rounds) -> None:
    edit_id = await rounds.accept("winter [fault:hang]")
    with process(with_leases(rounds.clients.settings, create_timeout=1.5), steps=[Step.SUBMIT]) as carrier:
        await until(lambda: rounds.bought() == 1)
        assert carrier.engine.free(Step.SUBMIT) == PERMITS[Step.SUBMIT] - 1
    assert (await rounds.place(edit_id)).name == "adopt"
    assert (await rounds.events(edit_id))[-1] == "answer_lost"


async def test_a_read_that_hangs_at_the_end_is_due_at_once_for_others(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_SHUTDOWN_GRACE="5s") as rounds:
        edit_id = await rounds.accept()
        await rounds.run(Step.SUBMIT)
        rounds.sandbox.options(outage="hang")
        with process(rounds.clients.settings, steps=[Step.POLL]) as carrier:
            await until(lambda: carrier.engine.free(Step.POLL) == PERMITS[Step.POLL] - 1)
            assert (await rounds.place(edit_id)).due > 20  # its lease
        place = await rounds.place(edit_id)
        assert place.name == "poll"
        assert place.due < 1
        rounds.sandbox.options(outage="none")


async def test_who_is_told_to_end_twice_waits_for_no_create(rounds: Rounds) -> None:
    edit_id = await rounds.accept("winter [fault:hang]")
    with process(rounds.clients.settings, steps=[Step.SUBMIT]) as carrier:
        await until(lambda: rounds.bought() == 1)
        carrier.engine.stop()
        told = time.monotonic()
    assert time.monotonic() - told < 10  # the create would hang for 20 s
    assert (await rounds.place(edit_id)).name in {"submit", "adopt"}  # from the first its lease brings it to the other


async def test_an_engine_that_closed_is_counted_no_more(rounds: Rounds) -> None:
    async def lives() -> bool:
        count: int = await rounds.redis.zcard(rounds.key("live"))
        return count == 1

    before = len(await rounds.redis.client_list())
    with process(rounds.clients.settings, steps=[Step.SWEEP]):
        await until(lives)
    assert await rounds.redis.zcard(rounds.key("live")) == 0
    assert await rounds.redis.exists(rounds.key("crew")) == 0

    async def hung_up() -> bool:
        return len(await rounds.redis.client_list()) == before

    await until(hung_up)


async def test_chains_are_those_of_the_steps_of_a_process(rounds: Rounds) -> None:
    with process(rounds.clients.settings, steps=[Step.SUBMIT, Step.POLL], carrying=False) as carrier:
        await started(carrier, Step.POLL)
        assert sorted(link.step for link in carrier.started) == ["poll", "submit"]


async def test_of_a_doubled_link_only_one_runs(rounds: Rounds) -> None:
    with process(rounds.clients.settings, carrying=False) as carrier:
        link = await started(carrier, Step.STORE)
        first = asyncio.create_task(carrier.one(link))
        await until(lambda: asleep(rounds, Step.STORE))
        assert await asyncio.gather(*(carrier.one(link) for _ in range(5))) == [None] * 5
        assert [held.step for held in carrier.engine.running] == [Step.STORE]
        carrier.engine.stop()
        following = await first
        assert following is not None
        assert following.number == link.number + 1


async def test_a_chain_too_many_ends(rounds: Rounds) -> None:
    with process(rounds.clients.settings, carrying=False) as carrier:
        link = await started(carrier, Step.STORE)
        assert await carrier.one(Link(Step.STORE, 1, link.number)) is None


async def test_each_process_brings_a_chain_of_each_step(rounds: Rounds) -> None:
    with process(rounds.clients.settings, steps=[Step.POLL], carrying=False) as first:
        await started(first, Step.POLL)
        with process(rounds.clients.settings, steps=[Step.POLL], carrying=False) as second:
            await started(second, Step.POLL)
            assert {link.slot for link in first.started + second.started} == {0, 1}


async def test_a_chain_that_broke_off_is_started_again(quick: Rounds) -> None:
    with process(quick.clients.settings) as carrier:
        await until(lambda: asleep(quick, Step.SUBMIT))
        carrier.running[Step.SUBMIT].cancel()
        await until(lambda: len(carrier.engine.running) == len(ALL) - 1)
        edit_id = await quick.accept()
        await quick.wait(8)  # longer than a chain may be silent
        await until(lambda: ended(quick, edit_id))
        assert len([link for link in carrier.started if link.step is Step.SUBMIT]) == 2
    assert quick.bought() == 1


async def test_chains_outlast_broken_connections_to_redis(quick: Rounds) -> None:
    ids = [await quick.accept(f"number {number}") for number in range(20)]
    with process(quick.clients.settings) as carrier:
        for _ in range(5):
            await quick.redis.client_kill_filter(_type="normal", skipme=True)
            await quick.redis.client_kill_filter(_type="pubsub")
            ids.append(await quick.accept())
        for edit_id in ids:
            await until(partial(ended, quick, edit_id), within=25)
        await until(lambda: asleep(quick, Step.SUBMIT))
        assert len(carrier.engine.running) == len(ALL)
    assert quick.bought() == len(ids)
