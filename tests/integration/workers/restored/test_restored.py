"""A Redis that lost writes: nothing is bought twice, purchases are recorded, and submission resumes by itself."""

import pytest

from edits.models import EditStatus, Priority, Step, Wait
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.lost import somebody_else_buys
from tests.integration.workers.restored.setback import QUIET, beat, died, is_shut, look, set_back, settled, spoken
from tests.integration.workers.rounds import Rounds
from tests.parts.valkey import OwnServer
from workers.adoption.history import Unreadable
from workers.adoption.restored import UNREADABLE_FOR


async def test_a_server_that_died_and_lost_nothing_goes_on_at_once(
    rounds: Rounds, other: Rounds, own_server: OwnServer
) -> None:
    await beat(rounds, other)
    edit_id = await rounds.accept()
    await rounds.run(Step.SUBMIT)
    waiting = await rounds.accept("another")
    await beat(rounds, other)
    await died(rounds, own_server)
    assert await rounds.run(Step.SUBMIT) == []
    assert (await rounds.edit(waiting)).waiting_for is Wait.RESTORED
    await spoken(rounds)
    assert await rounds.run(Step.SUBMIT) == []  # the other process has not spoken
    await beat(other)
    assert await rounds.run(Step.SUBMIT) == []  # it may have composed that before it heard of the new server
    await beat(other)
    assert await rounds.run(Step.SUBMIT) == [waiting]
    assert Wait.RESTORED in await rounds.waits(waiting)
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
    assert rounds.bought() == 2


async def test_a_claim_of_the_lost_tail_that_was_never_sent_is_made_again_once_that_is_sure(
    rounds: Rounds, own_server: OwnServer
) -> None:
    edit_id = await rounds.accept()
    left = await rounds.accept("not bought yet")
    await beat(rounds)
    copy = own_server.copy()
    await beat(rounds)
    assert (await rounds.claim_one(Step.SUBMIT))[0].id == edit_id
    await set_back(rounds, own_server, copy)
    assert (await rounds.edit(edit_id)).status is EditStatus.QUEUED
    await spoken(rounds)
    assert await rounds.run(Step.SUBMIT) == []
    assert await is_shut(rounds)
    await settled(rounds)
    assert set(await rounds.run(Step.SUBMIT)) == {edit_id, left}  # it was claimed, and never sent
    assert rounds.bought() == 3


async def test_edits_accepted_since_are_bought_at_once(rounds: Rounds, own_server: OwnServer) -> None:
    held = await rounds.accept()
    await beat(rounds)
    copy = own_server.copy()
    await beat(rounds)
    await set_back(rounds, own_server, copy)
    await beat(rounds)
    at_once = await rounds.accept("perhaps a repeated call")
    assert await rounds.run(Step.SUBMIT) == []
    await rounds.wait(4)
    await beat(rounds)
    fresh = await rounds.accept("surely new")
    assert at_once < fresh
    assert await rounds.run(Step.SUBMIT) == [fresh]
    assert {(await rounds.edit(i)).status for i in (held, at_once)} == {EditStatus.QUEUED}


async def test_a_process_born_in_the_lost_tail_has_been_told_more(
    rounds: Rounds, other: Rounds, own_server: OwnServer
) -> None:
    edit_id = await rounds.accept()
    await beat(rounds)
    copy = own_server.copy()
    await beat(other)
    assert await other.run(Step.SUBMIT) == [edit_id]
    await set_back(rounds, own_server, copy)
    await beat(rounds, other)
    await spoken(rounds)
    assert await is_shut(rounds)
    assert await rounds.run(Step.SUBMIT) == []
    await settled(rounds)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING


async def test_a_second_death_costs_no_more_than_the_first(rounds: Rounds, own_server: OwnServer) -> None:
    edit_id = await rounds.accept()
    await beat(rounds)
    await died(rounds, own_server)
    await beat(rounds)
    await died(rounds, own_server)
    await spoken(rounds)
    assert not await is_shut(rounds)
    assert await rounds.run(Step.SUBMIT) == [edit_id]


async def test_a_second_death_does_not_hide_what_the_first_has_lost(
    rounds: Rounds, other: Rounds, own_server: OwnServer
) -> None:
    """Nor does a second that takes away all that was known of the first."""
    edit_id = await rounds.accept()
    await beat(rounds, other)
    copy = own_server.copy()
    assert await rounds.run(Step.SUBMIT) == [edit_id]
    await set_back(rounds, own_server, copy)
    await beat(rounds, other)
    await set_back(rounds, own_server, copy)
    await spoken(rounds, other)
    assert await is_shut(rounds)
    await died(rounds, own_server)
    await spoken(rounds, other)
    assert await is_shut(rounds)
    await settled(rounds)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    assert rounds.bought() == 2


async def test_a_number_of_a_server_that_the_data_do_not_know_tells_of_a_loss(
    rounds: Rounds, other: Rounds, own_server: OwnServer
) -> None:
    """A process was born, and has bought, under the server between the copy and the present one."""
    edit_id = await rounds.accept()
    await beat(rounds)
    copy = own_server.copy()
    await died(rounds, own_server)
    await spoken(rounds)
    await beat(other)
    assert await other.run(Step.SUBMIT) == [edit_id]
    await set_back(rounds, own_server, copy)
    await beat(other)
    await spoken(rounds)
    assert await is_shut(rounds)
    await settled(rounds)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    assert rounds.bought() == 2


async def test_without_a_witness_nothing_that_was_queued_is_bought(rounds: Rounds, own_server: OwnServer) -> None:
    edit_id = await rounds.accept()
    await beat(rounds)
    copy = own_server.copy()
    await rounds.run(Step.SUBMIT)
    rounds.sandbox.options(history_lag=10_000)
    await set_back(rounds, own_server, copy)
    await spoken(rounds)
    for _ in range(3):
        await rounds.wait(QUIET)
        await beat(rounds)
        await look(rounds)
        assert await rounds.run(Step.SUBMIT) == []
    assert (await rounds.edit(edit_id)).status is EditStatus.QUEUED
    assert rounds.bought() == 1


async def test_an_empty_server_opens_at_once(rounds: Rounds, own_server: OwnServer) -> None:
    await beat(rounds)
    await rounds.redis.flushall()
    await beat(rounds)
    edit_id = await rounds.accept()
    assert await rounds.run(Step.SUBMIT) == [edit_id]


async def test_what_is_new_is_bought_however_deep_it_stands_in_the_queue(rounds: Rounds, own_server: OwnServer) -> None:
    for n in range(205):  # they stand behind all that comes within the hour
        await rounds.accept(f"held {n}", priority=Priority.BULK)
    await beat(rounds)
    copy = own_server.copy()
    await beat(rounds)
    await set_back(rounds, own_server, copy)
    await beat(rounds)
    await rounds.wait(4)
    await beat(rounds)
    taken_back, fresh = await rounds.accept("canceled"), await rounds.accept("new")
    await rounds.clients.repository.cancel(taken_back)
    assert await rounds.run(Step.SUBMIT) == [fresh]
    assert await rounds.run(Step.SUBMIT) == []
    assert await rounds.redis.keys(rounds.key("fresh", "*")) == []


async def test_an_unreadable_history_keeps_it_shut_while_anything_may_be_bought_again(
    open_rounds: OpenRounds, own_server: OwnServer
) -> None:
    async with open_rounds(RETOUCH_QUBICO__REBUY_FAILED="1") as rounds:
        edit_id = await rounds.accept()
        await rounds.run(Step.SUBMIT)
        await beat(rounds)
        copy = own_server.copy()
        await somebody_else_buys(rounds, prompt="[fault:not_visible_once=1000]")
        await beat(rounds)
        await set_back(rounds, own_server, copy)
        await spoken(rounds)
        await rounds.wait(QUIET + UNREADABLE_FOR.total_seconds())
        await beat(rounds)
        with pytest.raises(Unreadable):
            await look(rounds)
        assert await is_shut(rounds)
        assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
        with pytest.raises(Unreadable):
            await look(rounds)
        assert not await is_shut(rounds)
