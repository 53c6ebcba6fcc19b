"""The worker that settles a doubt is killed between two windows of the history: another goes on where it was."""

import os
from pathlib import Path

import pytest

from edits.models import EditStatus, Step
from tests.integration.workers.processes import Worker, worker
from tests.integration.workers.restored import stopping
from tests.integration.workers.restored.setback import QUIET, beat, is_shut, look, set_back, settled_upto, spoken
from tests.integration.workers.rounds import Rounds, until
from tests.parts.stack import ROOT
from tests.parts.valkey import OwnServer
from workers.adoption import history
from workers.adoption.restored import LEASE

PAGE = 2  # tasks
MOST_PAGES = 2  # of a window
HOUR = 3600.0


@pytest.fixture
def short_windows(rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds.sandbox.options(history_page=PAGE)
    monkeypatch.setattr(history, "MOST_PAGES", MOST_PAGES)


def stopped(running: Worker) -> bool:
    assert running.process.poll() is None, running.log.read_text()
    state = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


@pytest.mark.usefixtures("short_windows")
async def test_a_pass_that_was_killed_half_way_is_gone_on_with(
    rounds: Rounds, own_server: OwnServer, environ: dict[str, str], tmp_path: Path
) -> None:
    rounds.sandbox.options(latency=4.0, wait=1.0)
    edits = [await rounds.accept(f"edit {number}") for number in range(8)]
    await beat(rounds)
    copy = own_server.copy()
    for _ in edits:
        claim, lease = await rounds.claim_one(Step.SUBMIT)
        await rounds.work[Step.SUBMIT].work(claim, lease)
        await rounds.wait(5 * HOUR)
    await set_back(rounds, own_server, copy)
    await spoken(rounds)
    await rounds.wait(30)
    witness = await rounds.accept("a witness")
    assert await rounds.run(Step.SUBMIT) == [witness]
    await rounds.wait(QUIET)
    await beat(rounds)

    before = await settled_upto(rounds)
    path = os.pathsep.join([str(Path(stopping.__file__).parent), str(ROOT)])
    environ |= {"PYTHONPATH": path, "STOPS_AFTER_PAGES": str(MOST_PAGES)}
    with worker(environ, tmp_path, "-Q", "adopt") as first:
        await until(lambda: stopped(first))
        read = rounds.sandbox.stats()["history_reads"]
        first.process.kill()
        first.process.wait(90)
    half_way = await settled_upto(rounds)
    assert before < half_way
    taken = [edit_id for edit_id in edits if (await rounds.edit(edit_id)).status is EditStatus.PROCESSING]
    assert 0 < len(taken) < len(edits)

    await look(rounds)
    assert rounds.sandbox.stats()["history_reads"] == read  # the lease of the killed one
    await rounds.wait(LEASE.total_seconds() + 1)
    await beat(rounds)
    await look(rounds)
    assert not await is_shut(rounds)
    assert {(await rounds.edit(edit_id)).status for edit_id in edits} == {EditStatus.PROCESSING}
    assert await rounds.run(Step.SUBMIT) == []
    assert rounds.bought() == len(edits) + 1
