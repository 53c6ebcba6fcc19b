"""Sweep: edits without a result get a manifest, too, and paid tasks are read to their end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ulid import ULID

from edits.models import EditStatus, Step
from edits.retention import EVICTED_AT_ONCE
from edits.storage import layout, manifest
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds
from workers.steps.sweep import Sweep


async def swept(rounds: Rounds) -> list[str]:
    """As by a process that has just begun, which looks at all there is at once."""
    rounds.work[Step.SWEEP] = Sweep(rounds.clients)
    return await rounds.run(Step.SWEEP)


async def due_for_a_manifest(rounds: Rounds) -> list[str]:
    found: list[str] = await rounds.redis.zrange(rounds.key("due", "manifest"), 0, -1)
    return found


async def is_told_in_full(rounds: Rounds, edit_id: str) -> None:
    found = manifest.read(await rounds.clients.storage.get(layout.manifest_key(edit_id)))
    assert found == (await rounds.edit(edit_id), await rounds.clients.claims.timeline(edit_id))


async def failed(rounds: Rounds) -> str:
    edit_id = await rounds.accept("winter [fault:rejected]")
    await rounds.run(Step.SUBMIT)
    return edit_id


async def canceled(rounds: Rounds) -> str:
    edit_id = await rounds.accept()
    await rounds.clients.repository.cancel(edit_id)
    return edit_id


async def expired(rounds: Rounds) -> str:
    edit_id = await rounds.accept(expires_in=10)
    await rounds.wait(11)
    await rounds.run(Step.SUBMIT)
    return edit_id


@pytest.mark.parametrize("ended", [failed, canceled, expired])
async def test_an_edit_that_ended_without_a_result_has_a_manifest(
    ended: Callable[[Rounds], Awaitable[str]], rounds: Rounds
) -> None:
    edit_id = await ended(rounds)
    assert await due_for_a_manifest(rounds) == [edit_id]
    assert await swept(rounds) == [edit_id]
    assert await rounds.files(edit_id) == ["manifest.json"]
    await is_told_in_full(rounds, edit_id)
    assert await due_for_a_manifest(rounds) == []
    assert await swept(rounds) == []


async def test_a_success_needs_no_second_manifest(rounds: Rounds) -> None:
    await rounds.finish(await rounds.accept())
    assert await due_for_a_manifest(rounds) == []


async def test_a_manifest_that_cannot_be_written_is_due_again(rounds: Rounds, tmp_path: Path) -> None:
    edit_id = await failed(rounds)
    folder, aside = tmp_path / "objects", tmp_path / "aside"
    folder.rename(aside)
    folder.write_text("no folder")
    assert await swept(rounds) == [edit_id]
    assert await due_for_a_manifest(rounds) == [edit_id]
    folder.unlink()
    aside.rename(folder)
    await rounds.wait(rounds.work[Step.SWEEP].lease.total_seconds() + 1)
    assert await swept(rounds) == [edit_id]
    await is_told_in_full(rounds, edit_id)


async def test_an_edit_retried_meanwhile_is_told_as_it_ended_then(rounds: Rounds) -> None:
    rounds.sandbox.options(next_faults={"rejected": 1})
    edit_id = await rounds.accept()
    await rounds.run(Step.SUBMIT)
    slow, lease = await rounds.claim_one(Step.SWEEP)
    await rounds.clients.repository.retry(edit_id)
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
    await rounds.work[Step.SWEEP].work(slow, lease)  # overwrites what store has written
    assert await swept(rounds) == [edit_id]
    await is_told_in_full(rounds, edit_id)
    assert await due_for_a_manifest(rounds) == []


async def test_an_edit_retried_and_running_is_not_due_for_a_manifest(rounds: Rounds) -> None:
    edit_id = await failed(rounds)
    slow, lease = await rounds.claim_one(Step.SWEEP)
    await rounds.clients.repository.retry(edit_id)
    await rounds.work[Step.SWEEP].work(slow, lease)
    assert await due_for_a_manifest(rounds) == []
    assert await swept(rounds) == []


async def looked_again(rounds: Rounds) -> None:
    """As `swept`, and as often as there is more to be done at once."""
    await swept(rounds)
    while (await rounds.claim(Step.SWEEP))[0].next == 0:
        pass


async def test_what_ended_leaves_redis_after_its_manifest_is_written(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_EDITS__HOT="1h") as rounds:
        succeeded, refused = await rounds.accept(), await failed(rounds)
        await rounds.finish(succeeded)
        before = {edit_id: await rounds.edit(edit_id) for edit_id in (succeeded, refused)}
        await rounds.wait(3601)
        await looked_again(rounds)
        assert await rounds.redis.exists(rounds.key("e", succeeded)) == 0
        assert await rounds.edit(refused) == before[refused]  # its manifest was only just written
        await rounds.wait(601)
        await looked_again(rounds)
        assert await rounds.redis.exists(rounds.key("e", refused)) == 0
        for edit_id, edit in before.items():
            told = manifest.read(await rounds.clients.storage.get(layout.manifest_key(edit_id)))
            assert told is not None
            assert told[0] == edit


async def test_the_objects_of_days_long_gone_are_deleted(rounds: Rounds) -> None:
    fresh = await failed(rounds)
    old = f"edit_{ULID.from_datetime(datetime.now(UTC) - timedelta(days=40))}"
    for name in ("input.png", "manifest.json", "2/result.png"):
        await rounds.clients.storage.put(f"{layout.edit_folder(old)}/{name}", b"x", content_type="image/png")
    await looked_again(rounds)
    assert await rounds.files(old) == []
    assert await rounds.files(fresh) == ["manifest.json"]


async def test_more_that_is_too_old_is_seen_to_at_once(rounds: Rounds) -> None:
    for _ in range(EVICTED_AT_ONCE + 5):
        await canceled(rounds)
    while await swept(rounds):
        pass
    await rounds.wait(rounds.clients.settings.edits.hot.total_seconds() + 1)
    rounds.work[Step.SWEEP] = Sweep(rounds.clients)
    claims, _ = await rounds.claim(Step.SWEEP)
    assert claims.next == 0
    assert await rounds.redis.zcard(rounds.key("retention")) == 5
    claims, _ = await rounds.claim(Step.SWEEP)
    assert claims.next > 0
    assert await rounds.redis.zcard(rounds.key("retention")) == 0


@pytest.fixture
async def impatient(open_rounds: OpenRounds) -> AsyncIterator[Rounds]:
    """Edits wait for 30 s only."""
    async with open_rounds(RETOUCH_EDITS__DEADLINE="30s") as opened:
        yield opened


async def given_up(rounds: Rounds) -> str:
    """An edit that timed out; its task runs for 120 s."""
    edit_id = await rounds.accept("winter [fault:slow=30]")
    await rounds.finish(edit_id, rounds=200)  # it is looked at all the time: a wait without looks would not count
    assert len(await rounds.abandoned()) == 1
    return edit_id


async def test_a_paid_task_is_read_slowly_until_it_ends(impatient: Rounds) -> None:
    edit_id = await given_up(impatient)
    reads = impatient.sandbox.stats()["gets"]
    await swept(impatient)
    assert impatient.sandbox.stats()["gets"] == reads + 1
    await impatient.wait(30)
    await swept(impatient)
    assert impatient.sandbox.stats()["gets"] == reads + 1  # not due yet
    await impatient.wait(70)
    await swept(impatient)
    assert await impatient.abandoned() == []
    edit = await impatient.edit(edit_id)
    assert (edit.status, edit.task_status, edit.tasks_bought) == (EditStatus.FAILED, "completed", 1)
    assert (await impatient.events(edit_id))[-1] == "task_ended"


async def test_the_end_of_a_paid_task_reaches_the_manifest(impatient: Rounds) -> None:
    edit_id = await given_up(impatient)
    await swept(impatient)
    await impatient.wait(100)
    await swept(impatient)
    await swept(impatient)
    assert (await impatient.edit(edit_id)).task_status == "completed"
    await is_told_in_full(impatient, edit_id)


async def test_a_paid_task_that_the_provider_has_forgotten_is_settled(impatient: Rounds) -> None:
    edit_id = await given_up(impatient)
    impatient.sandbox.reset()
    await swept(impatient)
    assert await impatient.abandoned() == []
    assert (await impatient.edit(edit_id)).task_status == "gone"


async def test_a_paid_task_that_cannot_be_read_is_looked_at_again(impatient: Rounds) -> None:
    await given_up(impatient)
    impatient.sandbox.options(outage="refuse_503")
    await swept(impatient)
    assert len(await impatient.abandoned()) == 1
    impatient.sandbox.options(outage="none")
    await impatient.wait(100)
    await swept(impatient)
    assert await impatient.abandoned() == []


async def test_a_throttled_look_at_a_paid_task_closes_the_reads_for_everybody(impatient: Rounds) -> None:
    impatient.sandbox.options(retry_after=9)
    await given_up(impatient)
    impatient.sandbox.options(reads_per_second=0.001)
    await impatient.clients.qubico.account()  # takes the one read that the provider grants
    await swept(impatient)
    assert float((await impatient.limit("read"))["until"]) / 1000 - await impatient.now() > 8
