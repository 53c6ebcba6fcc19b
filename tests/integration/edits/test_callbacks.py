"""A callback is a hint to look now: it moves a due time, and neither a status nor a lease."""

import pytest

from tests.integration.edits.core import Core


async def test_a_callback_makes_a_waiting_task_due_now(core: Core):
    claim = await core.submitting()
    await core.bought(claim, "task-1", first_look=5)
    await core.repository.nudge(claim.id, attempt=1, task_id="task-1")
    assert await core.due_in("poll", claim.id) == pytest.approx(0, abs=0.9)


async def test_a_callback_while_the_task_is_read_makes_the_snooze_short(core: Core):
    claim = await core.processing()
    await core.repository.nudge(claim.id, attempt=1, task_id=claim.task_id)
    assert (await core.claims("poll")).claims == []  # the lease holds
    assert await core.outcomes.snooze(claim, delay=30)
    assert len((await core.claims("poll")).claims) == 1


async def test_a_callback_names_the_task_of_a_lost_answer(core: Core):
    claim = await core.submitting()
    await core.outcomes.lost(claim, cause="AnswerLost", delay=10)
    await core.repository.nudge(claim.id, attempt=1, task_id="task-1")
    found = await core.claim("adopt")
    assert found.long["cand"] == "task-1"


async def test_a_task_whose_callback_came_before_its_answer_is_read_at_once(core: Core):
    claim = await core.submitting()
    await core.repository.nudge(claim.id, attempt=1, task_id="task-1")
    await core.bought(claim, "task-1", first_look=5)
    assert await core.due_in("poll", claim.id) == pytest.approx(0, abs=0.9)
    assert "cand" not in await core.long_texts(claim.id)


async def test_a_callback_for_an_ended_edit_changes_nothing(core: Core):
    claim = await core.storing()
    await core.succeed(claim)
    before = await core.dump()
    await core.repository.nudge(claim.id, attempt=1, task_id="task-1")
    assert await core.dump() == before


async def test_a_callback_during_the_copy_leaves_it_alone(core: Core):
    claim = await core.storing()
    await core.repository.nudge(claim.id, attempt=1, task_id=claim.task_id)
    assert await core.succeed(claim)
