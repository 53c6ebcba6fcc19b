"""Adopt: how the provider's history is read, whatever its pages, its order and its pace."""

import asyncio

from edits.models import CostState, EditStatus, ErrorKind
from edits.schedule import Step
from tests.integration.workers.lost import PATIENCE, looked, lost, witness
from tests.integration.workers.rounds import Rounds


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
    edit_id = await lost(rounds)
    await asyncio.gather(*(rounds.accept("busy") for _ in range(102)))
    claims, lease = await rounds.claim(Step.SUBMIT, 102)
    await asyncio.gather(*(rounds.work[Step.SUBMIT].work(claim, lease) for claim in claims.claims))
    assert rounds.bought() == 103
    await looked(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    assert rounds.sandbox.stats()["history_reads"] == 3  # two with rows, and the empty one that ends it


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
