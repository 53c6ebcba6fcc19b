"""Adopt: a task without a token is matched by its input, or stays undecided."""

import pytest

from edits.models import EditStatus, Step
from edits.storage import layout
from tests.integration.workers.lost import (
    PATIENCE,
    adopted,
    ended_unknown,
    looked,
    lost,
    somebody_else_buys,
    witness,
)
from tests.integration.workers.rounds import Rounds, picture

ELSEWHERE = "https://example.com/another.png"


def without_tokens(rounds: Rounds, echo: str = "blank") -> None:
    rounds.sandbox.options(echo=echo)


async def looked_after_quiet(rounds: Rounds, *edit_ids: str) -> None:
    """One look for each, after the quiet period, with a witness that the history is fresh."""
    await witness(rounds)
    await rounds.wait(PATIENCE)
    for edit_id in edit_ids:
        if (await rounds.place(edit_id)).name == "adopt":
            await looked(rounds, edit_id)


@pytest.mark.parametrize("echo", ["blank", "strip"])
async def test_a_task_without_a_token_is_found_by_its_input(echo: str, rounds: Rounds) -> None:
    without_tokens(rounds, echo)
    edit_id = await lost(rounds)
    (row,) = rounds.sandbox.ledger()["tasks"]
    assert await looked(rounds, edit_id) > 0  # not before the quiet period: another one may yet turn up
    await looked_after_quiet(rounds, edit_id)
    assert await adopted(rounds, edit_id) == row["task_id"]
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
    assert rounds.bought() == 2


async def test_an_upload_is_told_by_its_address_as_it_was_sent(rounds: Rounds) -> None:
    without_tokens(rounds)
    rounds.sandbox.options(next_faults={"drop": 1})
    edit_id = await rounds.accept(upload="input.png")
    await rounds.clients.storage.put(layout.input_key(edit_id, "png"), picture(), content_type="image/png")
    await rounds.run(Step.SUBMIT)
    await looked_after_quiet(rounds, edit_id)
    assert await adopted(rounds, edit_id) == rounds.sandbox.ledger()["tasks"][0]["task_id"]


async def test_twins_are_told_apart_by_their_seeds(rounds: Rounds) -> None:
    without_tokens(rounds)
    twins = [await lost(rounds, seed=seed) for seed in (11, 12, 13)]
    await looked_after_quiet(rounds, *twins)
    rows = {row["seed"]: row["task_id"] for row in rounds.sandbox.ledger()["tasks"]}
    assert [await adopted(rounds, twin) for twin in twins] == [rows[11], rows[12], rows[13]]


async def test_twins_of_one_seed_are_told_apart_by_their_pictures(rounds: Rounds) -> None:
    without_tokens(rounds)
    there = await lost(rounds, image=ELSEWHERE)
    absent = await lost(rounds, "drop_before")
    await looked_after_quiet(rounds, absent, there)
    assert await adopted(rounds, there) == rounds.sandbox.ledger()["tasks"][0]["task_id"]
    assert (await rounds.edit(absent)).status is EditStatus.QUEUED


async def test_of_twins_alike_in_everything_the_last_that_looks_takes_the_one_task(rounds: Rounds) -> None:
    """While both look it may be either's; what it makes is the same for both, and neither buys another."""
    without_tokens(rounds)
    twins = [await lost(rounds), await lost(rounds, "drop_before")]
    await looked_after_quiet(rounds, *twins)
    ended = [await rounds.finish(twin) for twin in twins]
    assert sorted(edit.status for edit in ended) == [EditStatus.FAILED, EditStatus.SUCCEEDED]
    assert rounds.bought() == 2


async def test_a_twin_still_being_submitted_may_be_the_owner(rounds: Rounds) -> None:
    without_tokens(rounds)
    edit_id = await lost(rounds, "drop_before")
    await somebody_else_buys(rounds)
    await rounds.wait(PATIENCE)
    await rounds.accept()
    await rounds.claim_one(Step.SUBMIT)
    await looked(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.FAILED


async def test_two_tasks_that_fit_one_edit_are_none_of_its(rounds: Rounds) -> None:
    without_tokens(rounds)
    edit_id = await lost(rounds)
    await somebody_else_buys(rounds)
    await looked_after_quiet(rounds, edit_id)
    await ended_unknown(rounds, edit_id)
    assert rounds.bought() == 3


async def test_the_known_task_of_another_edit_is_nobody_elses(rounds: Rounds) -> None:
    """It has the same input, and its answer came."""
    without_tokens(rounds)
    other = await rounds.accept()
    await rounds.run(Step.SUBMIT)
    edit_id = await lost(rounds, "drop_before")
    await looked_after_quiet(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.QUEUED
    assert (await rounds.edit(other)).tasks_bought == 1


@pytest.mark.parametrize(
    "asked", [{"prompt": "another prompt"}, {"seed": 8}, {"steps": 4}, {"width": 512, "height": 512}]
)
async def test_a_task_of_another_input_hides_nothing(asked: dict[str, object], rounds: Rounds) -> None:
    edit_id = await lost(rounds, "drop_before")
    await somebody_else_buys(rounds, **asked)
    await looked_after_quiet(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.QUEUED


async def test_a_task_that_differs_in_the_picture_address_alone_may_be_the_one(rounds: Rounds) -> None:
    edit_id = await lost(rounds, "drop_before")
    await somebody_else_buys(rounds, image=ELSEWHERE)
    await looked_after_quiet(rounds, edit_id)
    await ended_unknown(rounds, edit_id)


async def test_a_task_created_at_another_time_hides_nothing(rounds: Rounds) -> None:
    edit_id = await lost(rounds, "drop_before")
    await rounds.wait(150)
    await somebody_else_buys(rounds)
    await looked_after_quiet(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.QUEUED


async def test_a_task_that_shows_another_token_is_never_told_by_its_input(rounds: Rounds) -> None:
    edit_id = await lost(rounds, "drop_before")
    await somebody_else_buys(rounds, webhook_secret="theirs")
    await looked_after_quiet(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.QUEUED
