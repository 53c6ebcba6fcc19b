"""How long tasks take is learned by all; reads that the budget does not allow are spread."""

import functools

import pytest

from edits.db.tokens import LOOKAHEAD
from edits.models import Step
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds
from workers.pace import Paces


async def test_how_long_tasks_of_so_many_steps_take_is_learned_by_all(rounds: Rounds) -> None:
    for _ in range(3):
        await rounds.finish(await rounds.accept(steps=4))
    (took, *_) = seen = await rounds.clients.repository.took(4)
    assert len(seen) == 3
    assert took.run == pytest.approx(4.0, abs=0.2)
    assert took.wait == pytest.approx(1.0, abs=0.9)
    assert not took.called_back
    assert await rounds.clients.repository.took(28) == []
    others = Paces(rounds.clients.repository)
    assert (await others.of(4)).runs.mean == pytest.approx(4.0, rel=0.2)
    assert (await others.of(4)).first_look() > (await others.of(28)).first_look()


async def test_it_is_learned_whether_callbacks_tell_of_the_end(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    await rounds.run(Step.SUBMIT)
    await rounds.wait(7)
    await rounds.clients.repository.nudge(edit_id, attempt=1, task_id=(await rounds.fields(edit_id))["ti"])
    await rounds.run(Step.POLL)
    assert [took.called_back for took in await rounds.clients.repository.took(28)] == [True]


async def test_gaps_are_stretched_while_the_budget_does_not_allow_all_reads(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__READS_PER_SECOND="1", RETOUCH_QUBICO__CREATES_PER_SECOND="100") as rounds:
        for _ in range(5):
            await rounds.accept("winter [fault:slow=10]")
        await rounds.run(Step.SUBMIT)
        await rounds.wait(8)
        before = rounds.clients.paces.throttle
        assert len(await rounds.run(Step.POLL)) == 1
        assert rounds.clients.paces.throttle > before == 1


async def test_a_budget_that_is_short_of_reads_is_never_passed(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__READS_PER_SECOND="1.5", RETOUCH_QUBICO__CREATES_PER_SECOND="100") as rounds:
        begun, accepted, granted = await rounds.now(), 0, []
        while (now := await rounds.now()) < begun + 30:
            rounds.clients.paces.clock = functools.partial(float, now)
            while accepted < now - begun:  # an edit a second: unlearned, it is read more than once
                await rounds.accept()
                accepted += 1
            await rounds.run(Step.SUBMIT)
            granted.append((now, len(await rounds.run(Step.POLL)), await rounds.now()))
            await rounds.wait(0.5)
    for i, (first, _, _) in enumerate(granted):
        for j, (_, _, last) in enumerate(granted[i:], i + 1):
            most = 1.5 * (last - first + LOOKAHEAD.total_seconds()) + 1
            assert sum(number for _, number, _ in granted[i:j]) <= most
    assert rounds.clients.paces.throttle > 1
