"""An edit from step to step: its place, text and cost after each decision."""

from typing import Any

import pytest

from edits.models import CostState, ErrorKind, Wait
from tests.factories import PROMPT, make_error, make_result
from tests.integration.edits.core import ADDRESS, PRICE, Core, moment
from tests.integration.edits.dump import scores


async def test_an_edit_goes_all_the_way(core: Core):
    edit_id = await core.queued(prompt=PROMPT)
    (claim,) = await core.claim_submit()
    assert await core.outcomes.intend(claim, address="https://signed.example/input.png")
    assert (await core.long_texts(edit_id))["sent"] == "https://signed.example/input.png"
    assert await core.bought(claim, "task-1", first_look=1.0) == "taken_over"
    assert await core.due_in("poll", edit_id) == pytest.approx(1, abs=0.9)
    await core.pass_time(1)
    assert await core.outcomes.snooze(await core.claim("poll"), delay=2, task_status="processing")
    await core.pass_time(2)
    assert await core.complete(await core.claim("poll"))
    assert await core.succeed(store := await core.claim("store"))
    edit = await core.edit(edit_id)
    assert edit.result == make_result(edit_id)
    assert (edit.status, edit.cost_state, edit.tasks_bought, edit.task_id) == ("succeeded", "charged", 1, "task-1")
    assert (edit.task_status, edit.waiting_for, edit.error) == ("completed", None, None)
    assert edit.finished_at == edit.updated_at
    assert store.long["addr"] == ADDRESS
    assert await core.long_texts(edit_id) == {}
    assert await core.events(edit_id) == ["accepted", "submitting", "submitted", "storing", "succeeded"]


async def test_the_timeline_names_every_wait_and_adds_up(core: Core):
    claim = await core.submitting()
    await core.pass_time(1)
    await core.bought(claim)
    await core.pass_time(10)
    poll, now = await core.claim("poll"), await core.now()
    assert await core.complete(poll, started_at=moment(now - 8000), ended_at=moment(now - 2000))
    await core.pass_time(3)
    await core.succeed(await core.claim("store"))
    edit, events = await core.edit(claim.id), await core.repository.timeline(claim.id)
    assert edit.finished_at is not None
    assert events is not None
    waits = {event.wait: event.duration_ms for event in events[1:]}
    assert list(waits) == [
        Wait.FAIR_SHARE, Wait.SUBMIT, Wait.PROVIDER_QUEUE, Wait.PROVIDER_RUN, Wait.NOTICE, Wait.COPY
    ]  # fmt: skip
    assert waits[Wait.PROVIDER_RUN] == 6000
    assert sum(waits.values()) == round((edit.finished_at - edit.created_at).total_seconds() * 1000)


async def test_how_late_the_end_of_a_task_was_noticed_is_counted(core: Core):
    poll = await core.processing()
    now = await core.now()
    await core.complete(poll, started_at=moment(now), ended_at=moment(now))
    await core.pass_time(2)
    poll = await core.processing()
    await core.pass_time(30)
    await core.complete(poll, ended_at=moment(await core.now() - 2000))
    assert await core.counter("notice_lag:2500") == 1
    assert 2000 <= await core.counter("notice_lag:sum") < 2500


async def test_times_of_the_provider_are_kept_within_the_edits_own(core: Core):
    poll = await core.processing()
    now = await core.now()
    assert await core.complete(poll, started_at=moment(0), ended_at=moment(now + 3_600_000))
    events = await core.repository.timeline(poll.id) or []
    assert [event.type for event in events][-3:] == ["started", "completed", "storing"]
    assert all(event.duration_ms >= 0 for event in events)
    assert events[-1].at <= moment(await core.now())


async def test_a_read_that_shows_the_start_is_told_once(core: Core):
    claim = await core.processing()
    started = moment(await core.now())
    await core.outcomes.snooze(claim, delay=0, started_at=started, wait=Wait.PROVIDER_RUN)
    await core.outcomes.snooze(await core.claim("poll"), delay=0, started_at=started, wait=Wait.PROVIDER_RUN)
    await core.complete(await core.claim("poll"), started_at=started)
    assert (await core.events(claim.id)).count("started") == 1
    assert (await core.edit(claim.id)).waiting_for == Wait.COPY


async def test_a_snooze_counts_tries_of_its_step_alone(core: Core):
    claim = await core.processing()
    await core.outcomes.snooze(claim, delay=0, tries=3)
    claim = await core.claim("poll")
    assert claim.tries == 3
    await core.complete(claim)
    assert (await core.claim("store")).tries == 0


async def test_a_released_edit_goes_back_to_its_old_place_with_its_attempt(core: Core):
    claim = await core.submitting()
    await core.pass_time(5)
    behind = await core.queued()
    assert await core.release(claim)
    edit = await core.edit(claim.id)
    assert (edit.status, edit.attempt, edit.waiting_for) == ("queued", 1, Wait.COOLDOWN)
    assert (edit.cost_state, edit.tasks_bought) == (CostState.RESERVED, 0)
    assert [found.id for found in await core.claim_submit(2)] == [claim.id, behind]


async def test_the_price_a_task_shows_replaces_the_expected_one(core: Core):
    claim = await core.submitting()
    await core.bought(claim, units=PRICE)
    await core.complete(await core.claim("poll"), units=PRICE + 50_000)
    assert (await core.edit(claim.id)).cost_units == PRICE + 50_000
    assert await core.counter("spent") == PRICE + 50_000


@pytest.mark.parametrize("step", ["submit", "adopt", "poll", "store"])
async def test_an_edit_may_fail_in_every_step(core: Core, step: str):
    make = {"submit": core.submitting, "adopt": core.adopting, "poll": core.processing, "store": core.storing}
    claim = await make[step]()
    assert await core.fail(claim)
    edit = await core.edit(claim.id)
    assert edit.error is not None
    assert (edit.status, edit.error.kind, edit.waiting_for) == ("failed", ErrorKind.INTERNAL, None)
    assert edit.finished_at is not None
    keys = await core.dump()
    assert claim.id in scores(keys, "retention")
    assert claim.id in scores(keys, "due:manifest")
    assert await core.counter("ended:failed:internal") == 1


async def test_a_failure_says_why_and_keeps_the_providers_code(core: Core):
    claim = await core.submitting()
    error: dict[str, Any] = {"kind": ErrorKind.REJECTED, "retryable": False, "provider_code": 400}
    await core.outcomes.fail(claim, make_error(message="x" * 900, **error), cost=CostState.RELEASED)
    edit = await core.edit(claim.id)
    assert edit.error is not None
    assert edit.error.message == "x" * 500
    assert (edit.error.retryable, edit.error.provider_code, edit.cost_state) == (False, 400, CostState.RELEASED)


async def test_texts_of_the_outside_world_are_kept_whatever_they_hold(core: Core):
    claim = await core.submitting(prompt='quote " and \\ and \u2028 \U0001f600 \x00')
    await core.outcomes.fail(claim, make_error(message='half a pair \ud83d, "x"\n\x00 ünï'), cost=CostState.RELEASED)
    edit = await core.edit(claim.id)
    assert edit.error is not None
    assert edit.error.message == 'half a pair ?, "x"\n\x00 ünï'
    assert edit.input.prompt == 'quote " and \\ and \u2028 \U0001f600 \x00'


async def test_an_edit_that_succeeded_needs_no_manifest_from_the_sweep(core: Core):
    claim = await core.storing()
    await core.succeed(claim)
    keys = await core.dump()
    assert claim.id in scores(keys, "retention")
    assert claim.id not in scores(keys, "due:manifest")


async def test_the_end_of_an_edit_is_told_to_whoever_listens(core: Core):
    claim = await core.storing()
    listening = core.repository.ended()
    assert await anext(listening) == ""
    await core.succeed(claim)
    assert await anext(listening) == claim.id
    await listening.aclose()  # type: ignore[attr-defined] # an async generator behind its interface


async def test_a_full_timeline_keeps_only_the_end_and_counts_no_moment_twice(core: Core):
    claim = await core.submitting()
    await core.redis.append(core.key("t", claim.id), "\n" * 16_384)
    core.damaged = True
    before = await core.counter("wait:submit:sum") + await core.counter("wait:cooldown:sum")
    for _ in range(3):
        await core.pass_time(10)
        await core.release(claim)
        (claim,) = await core.claim_submit()
    await core.fail(claim)
    edit, record = await core.edit(claim.id), await core.record(claim.id)
    assert int(record["la"]) == int(record["en"])
    names = ("fair_share", "submit", "cooldown")
    counted = sum([await core.counter(f"wait:{name}:sum") for name in names]) - before
    assert edit.finished_at is not None
    assert counted == pytest.approx((edit.finished_at - edit.created_at).total_seconds() * 1000, abs=50)
