"""A Redis set back by days: the history since then is read window by window, and no window twice."""

import pytest

from edits.models import EditStatus, Step
from tests.integration.workers.lost import somebody_else_buys
from tests.integration.workers.restored.setback import QUIET, beat, is_shut, look, set_back, spoken
from tests.integration.workers.rounds import Rounds
from tests.parts.valkey import OwnServer
from workers.adoption import history

HOURS = 3600.0


async def test_what_was_bought_in_days_is_taken_and_another_process_goes_on_where_the_last_one_was(
    rounds: Rounds, other: Rounds, own_server: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_PAGES", 2)
    monkeypatch.setattr(history, "MOST_REMEMBERED", 2)
    rounds.sandbox.options(history_page=2)
    edits = [await rounds.accept(f"edit {n}") for n in range(12)]
    await beat(rounds, other)
    copy = own_server.copy()
    for _ in edits:
        claim, lease = await rounds.claim_one(Step.SUBMIT)
        await rounds.work[Step.SUBMIT].work(claim, lease)
        await somebody_else_buys(rounds)
        await rounds.wait(5 * HOURS)
    await set_back(rounds, own_server, copy)
    await spoken(rounds, other)
    await rounds.wait(30)
    witness = await rounds.accept("a witness")
    assert await rounds.run(Step.SUBMIT) == [witness]
    await look(rounds)  # the quiet period of what was bought last is not over
    assert await is_shut(rounds)
    first = rounds.sandbox.stats()["history_reads"]
    assert first > 24 / 2  # so many pages at least
    await rounds.wait(QUIET)
    await beat(rounds, other)
    await look(other)
    assert not await is_shut(rounds)
    assert rounds.sandbox.stats()["history_reads"] - first < first / 3
    assert {(await rounds.edit(i)).status for i in edits} == {EditStatus.PROCESSING}
    assert await rounds.run(Step.SUBMIT) == []
    assert rounds.bought() == 12 + 12 + 1
