"""A Redis that lost writes: lost purchases are found and recorded, and never repeated."""

from pathlib import Path

import pytest

from cli.doctor import redis as doctor
from edits import stats
from edits.models import EditStatus, ErrorKind, Step
from edits.recovery import restoring
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.restored.setback import beat, is_shut, look, set_back, settled, spoken, witnessed
from tests.integration.workers.rounds import Rounds, until
from tests.parts.proxy import run_proxy
from tests.parts.sandbox import Sandbox
from tests.parts.valkey import OwnServer


@pytest.mark.parametrize("alive", [True, False], ids=["the worker lives", "no worker lives"])
async def test_a_bought_edit_that_is_queued_again_goes_on_with_its_task(
    rounds: Rounds, open_rounds: OpenRounds, own_server: OwnServer, alive: bool
) -> None:
    edit_id = await rounds.accept()
    await beat(rounds)
    copy = own_server.copy()
    await rounds.run(Step.SUBMIT)
    await set_back(rounds, own_server, copy)
    async with open_rounds() as fresh:
        now = rounds if alive else fresh
        await spoken(now)
        assert await now.run(Step.SUBMIT) == []
        await look(now)
        edit = await now.edit(edit_id)
        assert (edit.status, edit.tasks_bought) == (EditStatus.PROCESSING, 1)
        await settled(now)
        assert await now.run(Step.SUBMIT) == []
        assert (await now.finish(edit_id)).status is EditStatus.SUCCEEDED
        assert now.bought() == 2  # with the witness


async def test_a_task_that_is_told_late_takes_its_edit_out_of_the_queue(rounds: Rounds, own_server: OwnServer) -> None:
    edit_id = await rounds.accept()
    await beat(rounds)
    copy = own_server.copy()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    await set_back(rounds, own_server, copy)
    await rounds.work[Step.SUBMIT].work(claim, lease)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.tasks_bought) == (EditStatus.PROCESSING, 1)
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
    assert rounds.bought() == 1


async def test_a_task_of_an_edit_that_is_not_here_is_counted_and_shown(rounds: Rounds, own_server: OwnServer) -> None:
    await rounds.accept()
    await rounds.run(Step.SUBMIT)
    await beat(rounds)
    copy = own_server.copy()
    lost = await rounds.accept("accepted after the copy")
    await rounds.run(Step.SUBMIT)
    task_id = (await rounds.edit(lost)).task_id
    await set_back(rounds, own_server, copy)
    await spoken(rounds)
    assert b"retouch_submitting_shut 1.0" in await stats.render(rounds.clients.repository, scope="cluster")
    (finding,) = await doctor.whole(rounds.redis, rounds.clients.settings.namespace)
    assert "has lost its latest writes" in finding.said
    await settled(rounds)
    (finding,) = await doctor.whole(rounds.redis, rounds.clients.settings.namespace)
    assert f"such as {task_id} of {lost}" in finding.said
    told = await restoring.look(rounds.redis, rounds.clients.settings.namespace)
    assert told.unknown == (f"{task_id} {lost}",)
    figures = await stats.render(rounds.clients.repository, scope="cluster")
    assert b"retouch_submitting_shut 0.0" in figures
    assert b"retouch_unknown_paid_tasks 1.0" in figures


async def test_a_replica_that_lacks_the_last_writes_takes_over(
    open_rounds: OpenRounds, own_server: OwnServer, tmp_path: Path, sandbox: Sandbox
) -> None:
    own_server.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica = OwnServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(own_server.port))
    try:
        async with run_proxy(own_server.port) as proxy:
            url = f"redis://127.0.0.1:{proxy.port}/0"
            async with open_rounds(RETOUCH_REDIS_URL=url, RETOUCH_NAMESPACE="failover") as rounds:
                edit_id = await rounds.accept()
                await beat(rounds)
                await replica_has(replica, own_server)
                replica.command("REPLICAOF", "NO", "ONE")  # cut off; it is promoted as it is
                await rounds.run(Step.SUBMIT)
                proxy.lead_to(replica.port)
                proxy.cut()
                await rounds.redis.connection_pool.disconnect()
                await spoken(rounds)
                assert await rounds.run(Step.SUBMIT) == []
                await settled(rounds)
                assert await rounds.run(Step.SUBMIT) == []
                edit = await rounds.edit(edit_id)
                assert (edit.status, edit.tasks_bought) == (EditStatus.PROCESSING, 1)
                assert rounds.bought() == 2
    finally:
        replica.kill()


async def replica_has(replica: OwnServer, primary: OwnServer) -> None:
    """Everything that the primary has by now."""
    await until(lambda: replica.command("ROLE")[3:] == [b"connected", primary.command("ROLE")[1]])


async def test_a_later_attempt_bought_in_the_lost_tail_is_the_one_that_counts(
    open_rounds: OpenRounds, own_server: OwnServer
) -> None:
    async with open_rounds(RETOUCH_QUBICO__REBUY_FAILED="1") as rounds:
        edit_id = await rounds.accept("[fault:failed=1]")
        await rounds.run(Step.SUBMIT)
        await beat(rounds)
        copy = own_server.copy()
        await rounds.reach(edit_id, EditStatus.QUEUED)
        await rounds.run(Step.SUBMIT)
        second = (await rounds.edit(edit_id)).task_id
        await set_back(rounds, own_server, copy)
        await spoken(rounds)
        await rounds.wait(10)
        await rounds.run(Step.POLL)
        assert (await rounds.edit(edit_id)).status is EditStatus.QUEUED
        assert await rounds.run(Step.SUBMIT) == []
        await settled(rounds)
        edit = await rounds.edit(edit_id)
        assert (edit.status, edit.attempt, edit.task_id) == (EditStatus.PROCESSING, 2, second)
        assert rounds.bought() == 3


async def test_an_edit_that_had_ended_ends_again_without_a_second_copy(rounds: Rounds, own_server: OwnServer) -> None:
    edit_id = await rounds.accept()
    await rounds.run(Step.SUBMIT)
    await beat(rounds)
    copy = own_server.copy()
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
    asked = rounds.sandbox.stats()["downloads"]
    await set_back(rounds, own_server, copy)
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
    assert rounds.bought() == 1
    assert rounds.sandbox.stats()["downloads"] == asked


async def test_a_task_that_names_nobody_is_not_bought_again(rounds: Rounds, own_server: OwnServer) -> None:
    edit_id = await rounds.accept("bought, and its token is lost", seed=11)
    other_id = await rounds.accept("asks for something else", seed=12)
    await beat(rounds)
    copy = own_server.copy()
    rounds.sandbox.options(echo="strip")
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    await rounds.work[Step.SUBMIT].work(claim, lease)
    assert claim.id == edit_id
    await set_back(rounds, own_server, copy)
    await spoken(rounds)
    await settled(rounds)
    edit = await rounds.edit(edit_id)
    assert edit.error is not None
    assert edit.error.kind is ErrorKind.SUBMISSION_UNKNOWN
    assert await rounds.run(Step.SUBMIT) == [other_id]
    assert rounds.bought() == 3
    await rounds.clients.repository.retry(edit_id)
    again, _ = await rounds.claim_one(Step.ADOPT)
    assert again.moment("sa") == again.moment("cr")  # from then on it may have been bought


async def test_a_second_purchase_that_names_nobody_waits_for_the_edit_that_may_have_made_it(
    open_rounds: OpenRounds, own_server: OwnServer
) -> None:
    async with open_rounds(RETOUCH_QUBICO__REBUY_FAILED="1") as rounds:
        edit_id = await rounds.accept("[fault:failed=1]", seed=11)
        await rounds.run(Step.SUBMIT)
        await beat(rounds)
        copy = own_server.copy()
        await rounds.reach(edit_id, EditStatus.QUEUED)
        rounds.sandbox.options(echo="strip")
        await rounds.run(Step.SUBMIT)
        await set_back(rounds, own_server, copy)
        await witnessed(rounds)
        await look(rounds)
        assert await is_shut(rounds)  # its first task may fail, and then it would be bought again
        await rounds.run(Step.POLL)
        assert (await rounds.edit(edit_id)).status is EditStatus.QUEUED
        await look(rounds)
        assert not await is_shut(rounds)
        edit = await rounds.edit(edit_id)
        assert edit.error is not None
        assert edit.error.kind is ErrorKind.SUBMISSION_UNKNOWN
        assert rounds.bought() == 3
