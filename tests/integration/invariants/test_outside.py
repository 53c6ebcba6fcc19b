"""Storage and provider are compared with the records; missing data do not count as correct."""

import json

import pytest

from edits.attempts import Attempt
from edits.invariants import Report
from edits.models import EditStatus
from edits.storage import layout
from qubico.schemas import KontextRequest
from tests.integration.edits.core import raw
from tests.integration.invariants.conftest import System
from tests.integration.workers.rounds import IMAGE


async def test_a_manifest_that_is_gone(system: System) -> None:
    await system.storage.delete([layout.manifest_key(system.canceled)])
    assert await system.found("manifests", system.canceled) == "it has no manifest"


async def test_a_manifest_that_tells_another_story(system: System) -> None:
    name = layout.manifest_key(system.failed)
    told = json.loads(await system.storage.get(name))
    told["edit"] |= {"attempt": 3, "task_id": None}
    await system.storage.put(name, json.dumps(told).encode(), content_type="application/json")
    assert await system.found("manifests", system.failed) == "its manifest differs from the record in attempt, task_id"


async def test_a_manifest_that_cannot_be_read(system: System) -> None:
    name = layout.manifest_key(system.succeeded)
    await system.storage.put(name, b'{"format": 99}', content_type="application/json")
    assert "cannot be read by this version" in await system.found("manifests", system.succeeded)


async def test_a_manifest_that_is_yet_to_be_written_is_waited_for(system: System) -> None:
    await system.storage.delete([layout.manifest_key(system.canceled)])
    due = await system.rounds.now() * 1000
    await system.redis.zadd(system.key("due:manifest"), {system.canceled: due})
    assert not (await system.check()).broken


async def test_a_picture_that_is_gone_or_cut_or_another(system: System) -> None:
    edit = await system.rounds.edit(system.succeeded)
    assert edit.result is not None
    name = edit.result.key
    content = await system.storage.get(name)

    await system.storage.put(name, content[:-1] + b"?", content_type="image/png")
    assert not (await system.check()).broken  # the size is right: its hash is read only when asked for
    assert "another hash" in await system.found("results", system.succeeded, deep=True)

    await system.storage.put(name, content[:-7], content_type="image/png")
    assert f"{len(content)} were promised" in await system.found("results", system.succeeded)

    await system.storage.delete([name])
    assert "is not there" in await system.found("results", system.succeeded)


async def bought_beside(system: System, edit_id: str, prompt: str = "winter") -> str:
    """A task of this attempt that nobody told us of."""
    clients = system.rounds.clients
    request = KontextRequest(
        prompt=prompt, image=IMAGE, width=256, height=192, steps=4, seed=7,
        webhook_secret=clients.tokens.sign(Attempt(edit_id, 1)),
    )  # fmt: skip
    return (await clients.qubico.create(request)).task_id


@pytest.mark.parametrize("name", ["queued", "succeeded", "canceled"])
async def test_a_purchase_that_no_record_names(system: System, name: str) -> None:
    edit_id = getattr(system, name)
    task = await bought_beside(system, edit_id)
    assert f"bought for attempt 1 of {edit_id}" in await system.found("history.known", task)


async def test_a_purchase_of_an_edit_that_was_never_here(system: System) -> None:
    task = await bought_beside(system, "edit_01JZZZZZZZZZZZZZZZZZZZZZZZ")
    assert "which is not in Redis" in await system.found("history.known", task)


async def test_a_purchase_that_is_still_looked_for_is_no_fault(system: System) -> None:
    await bought_beside(system, system.submitting)
    assert not (await system.check()).broken


async def test_an_edit_that_left_redis_is_told_of_by_its_manifest(system: System) -> None:
    await system.rounds.clients.repository.scripts.run(raw("evict"), k=100, hot=0, later=1000)
    assert await system.rounds.clients.repository.get(system.succeeded) is None
    report = await system.check()
    assert not report.broken, str(report)
    await system.storage.delete([layout.manifest_key(system.succeeded)])
    assert "not in Redis" in str(await system.check())


async def test_a_task_that_serves_another_edit_than_its_token_says(system: System) -> None:
    one, other = await system.task(system.processing), await system.task(system.storing)
    for edit_id, task in ((system.processing, other), (system.storing, one)):
        await system.redis.hset(system.key("e", edit_id), "ti", task)
        await system.redis.set(system.key("task", task), edit_id)
    assert f"its token names {system.processing}" in await system.found("history.owner", one, deep=True)


async def test_a_running_task_that_nobody_follows(system: System) -> None:
    task = await system.task(system.given_up)
    await system.redis.zrem(system.key("abandoned"), task)
    assert "is failed and its current task is" in await system.found("history.followed", task)


async def test_more_tasks_run_at_the_provider_than_are_allowed(system: System) -> None:
    await bought_beside(system, system.submitting)
    await system.redis.hset(system.key("ceilings"), "max_in_flight", 2)
    assert await system.found("in_flight", "provider") == "3 of our tasks are unfinished, and 2 are allowed"


def not_checked(report: Report) -> set[str]:
    return {result.rule for result in report.not_checked}


HISTORY = {"history.known", "history.owner", "history.followed"}


async def test_a_provider_that_does_not_answer_is_not_taken_for_well(system: System) -> None:
    system.rounds.sandbox.options(outage="refuse_503")
    report = await system.check()
    assert (report.broken, not_checked(report)) == ([], HISTORY)
    assert {report.results[rule].holds for rule in HISTORY} == {None}


async def test_a_task_that_is_listed_and_cannot_be_read_is_told(system: System) -> None:
    await bought_beside(system, system.submitting, prompt="winter [fault:not_visible_once=9]")
    report = await system.check()
    assert not_checked(report) == HISTORY
    assert "cannot be read (yet)" in report.results["history.known"].not_checked


async def test_a_system_that_goes_on_while_it_is_looked_at_raises_no_alarm(system: System) -> None:
    """Between the first look and the second everything has gone on."""
    await system.redis.zrem(system.key("due:poll"), system.processing)  # for a moment, as a reader may see it
    first = await system.check(patience=0)
    assert first.broken
    due = await system.rounds.now() * 1000
    await system.redis.zadd(system.key("due:poll"), {system.processing: due})
    assert not (await system.check()).broken
    assert (await system.rounds.finish(system.processing)).status is EditStatus.SUCCEEDED
    assert not (await system.check()).broken
