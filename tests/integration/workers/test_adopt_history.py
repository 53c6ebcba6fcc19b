"""Adopt: reads the provider's history with any pages, order and pace."""

import asyncio

import pytest

from edits.models import CostState, EditStatus, ErrorKind, Step
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.lost import PATIENCE, adopted, bought, looked, lost, somebody_else_buys, witness
from tests.integration.workers.rounds import Rounds
from workers.adoption import history


async def test_a_task_listed_but_not_readable_yet_is_not_taken_for_another(rounds: Rounds) -> None:
    rounds.sandbox.options(next_faults={"drop": 1})
    edit_id = await rounds.accept("winter [fault:not_visible_once=2]")
    await rounds.run(Step.SUBMIT)
    await witness(rounds)
    await rounds.wait(PATIENCE)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.tasks_bought) == (EditStatus.SUCCEEDED, 1)
    assert rounds.bought() == 2


async def test_a_listed_task_that_can_never_be_read_ends_the_search_without_a_purchase(rounds: Rounds) -> None:
    rounds.sandbox.options(next_faults={"drop": 1})
    edit_id = await rounds.accept("winter [fault:not_visible_once=1000]")
    await rounds.run(Step.SUBMIT)
    await witness(rounds)
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, edit.cost_state) == (ErrorKind.SUBMISSION_UNKNOWN, CostState.UNKNOWN)
    assert rounds.bought() == 2


async def test_a_history_of_many_pages_is_read_to_its_end(rounds: Rounds) -> None:
    """Although the provider gives fewer rows than were asked for."""
    rounds.sandbox.options(history_page=3)
    edit_id = await lost(rounds)
    for _ in range(8):
        await somebody_else_buys(rounds)
    await looked(rounds, edit_id)
    assert await adopted(rounds, edit_id) == rounds.sandbox.ledger()["tasks"][0]["task_id"]
    assert rounds.sandbox.stats()["history_reads"] == 4  # three with rows, and the empty one that ends it


async def test_more_in_a_second_than_can_be_held_proves_nothing(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_PAGES", 0)  # so that one task is too many
    edit_id = await lost(rounds)
    await looked(rounds, edit_id)
    assert (await rounds.place(edit_id)).name == "adopt"
    monkeypatch.undo()
    await looked(rounds, edit_id)
    await adopted(rounds, edit_id)


async def test_what_a_reading_has_shown_is_remembered_until_it_is_judged(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_REMEMBERED", 0)
    edit_id = await lost(rounds)
    await looked(rounds, edit_id)
    assert [await adopted(rounds, edit_id)] == [row["task_id"] for row in rounds.sandbox.ledger()["tasks"]]


async def test_tasks_that_edits_have_are_not_read_again(rounds: Rounds) -> None:
    edit_id = await lost(rounds)
    for _ in range(5):
        await bought(rounds)
    before = rounds.sandbox.stats()["gets"]
    await looked(rounds, edit_id)
    assert rounds.sandbox.stats()["gets"] == before + 1


async def test_what_the_provider_adds_meanwhile_hides_nothing(rounds: Rounds) -> None:
    """Rows move to later pages while they are read, newest first as they are."""
    rounds.sandbox.options(history_page=2)
    edit_id = await lost(rounds)
    for _ in range(6):
        await somebody_else_buys(rounds)
    await rounds.wait((await rounds.place(edit_id)).due + 0.01)
    claim, lease = await rounds.claim_one(Step.ADOPT)
    looking = asyncio.ensure_future(rounds.work[Step.ADOPT].work(claim, lease))
    while not looking.done() and rounds.bought() < 12:
        await somebody_else_buys(rounds)
    await looking
    assert rounds.bought() > 8
    assert await adopted(rounds, edit_id) == rounds.sandbox.ledger()["tasks"][0]["task_id"]


async def test_a_long_reading_keeps_its_claim(open_rounds: OpenRounds) -> None:
    """It takes longer than the lease, for want of read tokens, and nobody else begins the same one."""
    async with open_rounds(leases={"adopt_lease": 2}, RETOUCH_QUBICO__READS_PER_SECOND="4") as rounds:
        edit_id = await lost(rounds)
        for _ in range(10):
            await somebody_else_buys(rounds)
        await rounds.wait((await rounds.place(edit_id)).due + 0.01)
        claim, lease = await rounds.claim_one(Step.ADOPT)
        began = asyncio.get_running_loop().time()
        looking = asyncio.ensure_future(rounds.work[Step.ADOPT].work(claim, lease))
        while not looking.done():
            assert (await rounds.claim(Step.ADOPT))[0].claims == []
            await asyncio.wait([looking], timeout=0.1)
        await looking
        assert asyncio.get_running_loop().time() - began > 2
        assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING


async def test_a_reading_for_an_edit_that_has_its_task_by_now_is_given_up(open_rounds: OpenRounds) -> None:
    async with open_rounds(leases={"adopt_lease": 0.3}, RETOUCH_QUBICO__READS_PER_SECOND="4") as rounds:
        edit_id = await lost(rounds)
        for _ in range(20):
            await somebody_else_buys(rounds)
        await rounds.wait((await rounds.place(edit_id)).due + 0.01)
        claim, lease = await rounds.claim_one(Step.ADOPT)
        looking = asyncio.ensure_future(rounds.work[Step.ADOPT].work(claim, lease))
        row = rounds.sandbox.ledger()["tasks"][0]
        await rounds.clients.outcomes.bought(
            edit_id, attempt=1, task_id=row["task_id"], units=1, status="pending", first_look=0, how="answer"
        )
        await asyncio.wait_for(looking, 90)
        assert rounds.sandbox.stats()["gets"] < 20  # all of it would be more
        assert (await rounds.edit(edit_id)).tasks_bought == 1


async def test_a_scan_serves_all_who_wait_and_reaches_back_to_the_oldest(rounds: Rounds) -> None:
    oldest = await lost(rounds)
    rounds.sandbox.options(history_lag=1000)  # so that the oldest has to be looked for for long
    await rounds.wait(2000)
    younger = [await lost(rounds, "drop_before") for _ in range(2)]
    await witness(rounds)
    rounds.sandbox.options(history_lag=0)
    await rounds.wait(PATIENCE)
    claims, lease = await rounds.claim(Step.ADOPT)
    work = rounds.work[Step.ADOPT]
    in_order = sorted(claims.claims, key=lambda claim: claim.id == oldest)  # the oldest comes last
    assert {claim.id for claim in in_order} == {oldest, *younger}
    await asyncio.gather(*(work.work(claim, lease) for claim in in_order))
    assert (await rounds.edit(oldest)).status is EditStatus.PROCESSING
    assert rounds.bought() == 2
