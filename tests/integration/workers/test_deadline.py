"""The deadline of a task: an abandoned task is read to its end, and its result may still be used."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from edits.models import CostState, EditStatus, ErrorKind, Step
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds
from tests.integration.workers.test_poll import polled, submitted


@pytest.fixture
async def overdue(open_rounds: OpenRounds) -> AsyncIterator[tuple[Rounds, str]]:
    """A task of 204 s and an edit that waits for 100 s."""
    async with open_rounds(RETOUCH_EDITS__DEADLINE="100s") as rounds:
        edit_id = await submitted(rounds, "winter [fault:slow=51]")
        for _ in range(200):
            if (await rounds.go_on(edit_id)).status is EditStatus.FAILED:
                break
        yield rounds, edit_id


async def test_past_the_deadline_an_unfinished_task_is_given_up_but_followed(overdue: tuple[Rounds, str]) -> None:
    rounds, edit_id = overdue
    edit = await rounds.edit(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, edit.error.retryable) == (ErrorKind.PROVIDER_TIMEOUT, True)
    assert edit.cost_state is CostState.CHARGED
    assert await rounds.abandoned() == [edit.task_id]


async def test_a_given_up_task_keeps_its_room_in_flight_until_it_ends(overdue: tuple[Rounds, str]) -> None:
    rounds, _ = overdue
    claims = await rounds.clients.claims.submit(10, lease=timedelta(seconds=40))
    assert claims.claims == []
    rounds.clients.registry.ceilings = replace(rounds.clients.registry.ceilings, max_in_flight=1)
    await rounds.accept()
    assert await rounds.run(Step.SUBMIT) == []


async def test_a_retry_takes_what_a_given_up_task_made(overdue: tuple[Rounds, str]) -> None:
    rounds, edit_id = overdue
    await rounds.wait(120)
    edit = await rounds.clients.repository.retry(edit_id)
    assert (edit.status, edit.attempt) == (EditStatus.PROCESSING, 2)
    edit = await rounds.finish(edit_id)
    assert (edit.status, edit.tasks_bought, rounds.bought()) == (EditStatus.SUCCEEDED, 1, 1)
    assert edit.result is not None
    assert edit.result.key.endswith("/2/result.png")
    assert await rounds.abandoned() == []


async def test_waiting_in_our_queue_and_outages_do_not_count_against_the_deadline(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_EDITS__DEADLINE="100s") as rounds:
        edit_id = await rounds.accept()
        await rounds.wait(500)
        await rounds.run(Step.SUBMIT)
        rounds.sandbox.options(outage="refuse_503")
        await rounds.wait(200)
        await polled(rounds, edit_id)
        rounds.sandbox.options(outage="none")
        assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
