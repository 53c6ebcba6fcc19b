"""Engine and chains: they sleep until there is work, do not multiply, end when told, and outlast Redis.

Links are carried from one to the next as broker and Celery would carry them.
"""

import asyncio
import time
from datetime import timedelta
from functools import partial
from typing import Final

import pytest

from edits.db import claims
from edits.models import EditStatus, Step, Wait
from tests.integration.workers.carrier import ALL, asleep, ended, process, process_of
from tests.integration.workers.conftest import OpenRounds, with_leases
from tests.integration.workers.rounds import Rounds, until
from workers import chains
from workers import engine as engine_of_workers
from workers.engine import Engine
from workers.permits import PERMITS

SERVED_WITHIN: Final = 5.0  # seconds until a step takes an edit that is due


async def taken(rounds: Rounds, edit_id: str) -> bool:
    return (await rounds.edit(edit_id)).status is not EditStatus.QUEUED


async def test_a_sleeping_engine_wakes_as_soon_as_an_edit_is_accepted(quick: Rounds) -> None:
    with process(quick.clients.settings):
        for step in (Step.SUBMIT, Step.POLL, Step.STORE):
            await until(partial(asleep, quick, step))
        edit_id = await quick.accept()
        await until(lambda: ended(quick, edit_id))
        waited = {str(event.wait): event.duration_ms for event in await quick.clients.claims.timeline(edit_id)}
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
        await until(lambda: carrier.free(Step.SUBMIT) == 0)
        chain = carrier.engine.chains[Step.SUBMIT]
        number = chain.number
        await until(lambda: chain.number > number + 1)  # next links run while the creates of the one before hang
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
            ended.append(await engine.chains[Step.SWEEP].clients.repository.redis.ping())

    with process(rounds.clients.settings, steps=[Step.SWEEP]) as carrier:
        await until(lambda: asleep(rounds, Step.SWEEP))
        asyncio.run_coroutine_threadsafe(outlives(carrier.engine), carrier.engine.loop)
    assert ended == [True]  # and a connection left open would fail this test where the loop closes


async def test_stopping_ends_an_idle_slice_which_sends_no_successor(rounds: Rounds) -> None:
    with process(rounds.clients.settings) as carrier:
        await until(lambda: carrier.running() == ALL)
        await until(lambda: asleep(rounds, Step.POLL))
        carrier.engine.stop()
        await until(lambda: carrier.running() == [], within=2)
        assert sorted(carrier.sent) == sorted((step, 1) for step in ALL)


async def test_an_idle_slice_ends_without_another_claim_and_the_next_link_makes_it(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "IDLE_SLICE", 0.5)

    async def sleeps_until() -> float | None:
        return await rounds.redis.zscore(rounds.key("idle", "poll"), process_of(carrier))

    with process(rounds.clients.settings, steps=[Step.POLL], mode="lose") as carrier:
        await until(carrier.engine.chains[Step.POLL].woken.is_set)  # by the subscription, which comes once
        running = asyncio.create_task(carrier.one(Step.POLL, 1))
        await until(lambda: asleep(rounds, Step.POLL))
        first = await sleeps_until()
        assert await running == 2
        assert await sleeps_until() == first
        await carrier.one(Step.POLL, 2)
        second = await sleeps_until()
        assert first is not None
        assert second is not None
        assert second > first


@pytest.fixture
def asleep_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle chains look after an hour, unless somebody wakes them."""
    monkeypatch.setattr(claims, "IDLE", timedelta(hours=1))
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
        await until(lambda: carrier.running() == [Step.ADOPT])
        now = round(await rounds.now() * 1000)
        doubt = {"shut": now, "mark": now - 1000, "settled": now - 1000, "lost": 1, "expected": 1}
        await rounds.redis.hset(rounds.key("doubt"), mapping=doubt)

        async def is_looked_for() -> bool:
            return bool(await rounds.redis.hexists(rounds.key("doubt"), "holder"))

        await until(is_looked_for)


async def test_what_is_in_hand_is_finished_before_the_engine_closes(rounds: Rounds) -> None:
    edit_id = await rounds.accept("winter [fault:hang]")
    with process(with_leases(rounds.clients.settings, create_timeout=1.5), steps=[Step.SUBMIT]) as carrier:
        await until(lambda: rounds.bought() == 1)
        assert carrier.free(Step.SUBMIT) == PERMITS[Step.SUBMIT] - 1
    assert (await rounds.place(edit_id)).name == "adopt"
    assert (await rounds.events(edit_id))[-1] == "answer_lost"


async def test_a_read_that_hangs_at_the_end_is_due_at_once_for_others(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_SHUTDOWN_GRACE="5s") as rounds:
        edit_id = await rounds.accept()
        await rounds.run(Step.SUBMIT)
        rounds.sandbox.options(outage="hang")
        with process(rounds.clients.settings, steps=[Step.POLL]) as carrier:
            await until(lambda: carrier.free(Step.POLL) == PERMITS[Step.POLL] - 1)
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
    assert await rounds.redis.exists(rounds.key("workers")) == 0

    async def hung_up() -> bool:
        return len(await rounds.redis.client_list()) == before

    await until(hung_up)


async def test_chains_are_those_of_the_steps_of_a_process(rounds: Rounds) -> None:
    with process(rounds.clients.settings, steps=[Step.SUBMIT, Step.POLL]) as carrier:
        await until(lambda: carrier.running() == [Step.SUBMIT, Step.POLL])
        carrier.engine.follow(Step.STORE, 1)  # a message of a step that is not its own
        assert sorted(carrier.sent) == [("poll", 1), ("submit", 1)]


@pytest.mark.parametrize("number", [0, 1, 2, -1])
async def test_a_doubled_or_old_link_ends_at_once(rounds: Rounds, number: int) -> None:
    with process(rounds.clients.settings, steps=[Step.STORE]) as carrier:
        await until(lambda: asleep(rounds, Step.STORE))
        assert await asyncio.gather(*(carrier.one(Step.STORE, number) for _ in range(5))) == [None] * 5
        assert carrier.running() == [Step.STORE]
        assert carrier.sent == [("store", 1)]


async def test_a_link_that_is_lost_is_sent_again_within_seconds(quick: Rounds) -> None:
    with process(quick.clients.settings, mode="lose") as carrier:
        await until(lambda: {step for step, _ in carrier.sent} == set(ALL))
        assert carrier.running() == []
        lost = time.monotonic()
        carrier.mode = "carry"
        edit_id = await quick.accept()
        await until(lambda: ended(quick, edit_id))
        assert time.monotonic() - lost < SERVED_WITHIN
        assert set(carrier.sent) == {(step, 1) for step in ALL}  # the same link, not a further one
    assert quick.bought() == 1


async def test_a_chain_that_broke_off_goes_on_with_its_next_link(
    quick: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    with process(quick.clients.settings) as carrier:
        await until(lambda: asleep(quick, Step.SUBMIT))
        with monkeypatch.context() as broken:
            broken.setattr(chains.Chain, "_turn", None)
            carrier.engine.loop.call_soon_threadsafe(carrier.engine.wake_all)
            await until(lambda: Step.SUBMIT not in carrier.running())
        edit_id = await quick.accept()
        await until(lambda: taken(quick, edit_id), within=SERVED_WITHIN)
        await until(lambda: ended(quick, edit_id))
        assert carrier.engine.chains[Step.SUBMIT].running
    assert quick.bought() == 1


async def test_while_the_broker_takes_no_messages_links_run_in_the_process_itself(
    quick: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "IDLE_SLICE", 0.2)
    with process(quick.clients.settings, mode="away") as carrier:
        await until(lambda: carrier.engine.chains[Step.SUBMIT].number > 3)
        edit_id = await quick.accept()
        await until(lambda: taken(quick, edit_id), within=SERVED_WITHIN)
        await until(lambda: ended(quick, edit_id))
        carrier.mode = "carry"
        sent = len(carrier.sent)
        await until(lambda: {step for step, _ in carrier.sent[sent:]} == set(ALL))
        other = await quick.accept()
        await until(lambda: taken(quick, other), within=SERVED_WITHIN)
        await until(lambda: ended(quick, other))
    assert quick.bought() == 2


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
        assert carrier.running() == ALL
    assert quick.bought() == len(ids)
