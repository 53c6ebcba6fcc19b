"""Prices in both generations of the provider's answers: quoted while a task runs, charged when it is completed."""

import pytest

from api.schemas.views import dollars
from edits.models import CostState, EditStatus, Step
from tests.integration.workers.rounds import Rounds

QUOTE = 350_000


async def spent(rounds: Rounds) -> int:
    return int(await rounds.redis.hget(rounds.key("stats"), "spent") or 0)


@pytest.mark.parametrize("usage", ["2025", "2026"])
async def test_the_quote_counts_from_the_create_on_and_is_the_charge(rounds: Rounds, usage: str) -> None:
    rounds.sandbox.options(usage=usage, price=QUOTE)
    edit_id = await rounds.accept("winter")
    await rounds.run(Step.SUBMIT)
    edit = await rounds.edit(edit_id)
    assert (edit.cost_units, edit.cost_state, dollars(edit.cost_units)) == (QUOTE, CostState.CHARGED, "0.035")
    assert await spent(rounds) == QUOTE
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.cost_units, edit.cost_state) == (EditStatus.SUCCEEDED, QUOTE, CostState.CHARGED)
    assert await spent(rounds) == QUOTE == rounds.sandbox.ledger()["units"]


@pytest.mark.parametrize("usage", ["2025", "2026"])
async def test_the_price_of_a_failed_task_stays_counted_as_unknown(rounds: Rounds, usage: str) -> None:
    """No answer proves a refund."""
    rounds.sandbox.options(usage=usage, price=QUOTE)
    edit = await rounds.finish(await rounds.accept("winter [fault:failed]"))
    assert (edit.status, edit.cost_units, edit.cost_state) == (EditStatus.FAILED, QUOTE, CostState.UNKNOWN)
    assert await spent(rounds) == QUOTE


@pytest.mark.parametrize("usage", ["2025", "2026"])
async def test_a_task_found_after_a_lost_answer_is_charged_as_it_was_sold(rounds: Rounds, usage: str) -> None:
    rounds.sandbox.options(usage=usage, price=QUOTE)
    edit = await rounds.finish(await rounds.accept("winter [fault:drop]"))
    assert (edit.status, edit.tasks_bought, edit.cost_units) == (EditStatus.SUCCEEDED, 1, QUOTE)
    assert await spent(rounds) == QUOTE == rounds.sandbox.ledger()["units"]
