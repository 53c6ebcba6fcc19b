"""Poll: asking again is not failing. Only a read that shows an end ends an edit, or a 404 that lasts."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from edits.models import CostState, EditStatus, ErrorKind, Step, Wait
from edits.pacing import pace
from tests.contract import wire
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds


async def submitted(rounds: Rounds, prompt: str = "winter") -> str:
    edit_id = await rounds.accept(prompt)
    assert await rounds.run(Step.SUBMIT) == [edit_id]
    return edit_id


LONGEST = 2.5  # seconds between two reads of what may end soon


async def polled(rounds: Rounds, edit_id: str) -> float:
    """Reads the task when it is due; returns in how many seconds it is due again."""
    place = await rounds.place(edit_id)
    assert place.name == "poll"
    await rounds.wait(max(0.0, place.due) + 0.01)
    assert await rounds.run(Step.POLL) == [edit_id]
    place = await rounds.place(edit_id)
    return place.after if place.name == "poll" else 0.0


async def test_an_unfinished_task_is_asked_about_again_and_that_is_no_failure(rounds: Rounds) -> None:
    edit_id = await submitted(rounds, "winter [fault:slow=10]")
    gaps = [await polled(rounds, edit_id) for _ in range(9)]
    assert all(pace.SHORTEST_GAP - 0.1 < gap < LONGEST for gap in gaps)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.attempt) == (EditStatus.PROCESSING, 1)
    assert (await rounds.fields(edit_id))["rt"] == "0"


async def test_the_start_of_the_run_is_seen_and_named(rounds: Rounds) -> None:
    edit_id = await submitted(rounds)
    assert (await rounds.edit(edit_id)).waiting_for is Wait.PROVIDER_QUEUE
    await rounds.wait(3)
    await rounds.run(Step.POLL)
    edit = await rounds.edit(edit_id)
    assert (edit.task_status, edit.waiting_for) == ("processing", Wait.PROVIDER_RUN)
    *_, started = await rounds.clients.claims.timeline(edit_id)
    assert (started.type, started.wait) == ("started", Wait.PROVIDER_QUEUE)
    assert started.duration_ms == pytest.approx(1000, abs=900)  # the provider's own time, not that of our look


async def test_a_completed_task_has_its_address_recorded_and_is_due_to_be_stored(rounds: Rounds) -> None:
    edit_id = await submitted(rounds)
    await rounds.wait(7)
    await rounds.run(Step.POLL)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.task_status, edit.waiting_for) == (EditStatus.STORING, "completed", Wait.COPY)
    place = await rounds.place(edit_id)
    assert place.name == "store"
    assert place.due <= 0
    assert (await rounds.texts(edit_id))["addr"].startswith(rounds.sandbox.base_url)
    assert (await rounds.events(edit_id))[3:] == ["started", "completed", "storing"]
    assert (await rounds.waits(edit_id))[2:] == [Wait.PROVIDER_QUEUE, Wait.PROVIDER_RUN, Wait.NOTICE]
    lasted = [event.duration_ms for event in await rounds.clients.claims.timeline(edit_id)][3:]
    assert lasted[1] == pytest.approx(4000, abs=10)  # as the provider tells both its ends
    assert lasted[0] < 1010
    assert lasted[2] > 1990


@pytest.mark.parametrize(
    ("fault", "kind", "retryable"),
    [
        ("failed", ErrorKind.PROVIDER_FAILED, True),
        ("failed_500", ErrorKind.PROVIDER_FAILED, True),
        ("moderated", ErrorKind.MODERATED, False),
    ],
)
async def test_a_failed_task_ends_its_edit_and_is_not_bought_again(
    fault: str, kind: ErrorKind, retryable: bool, rounds: Rounds
) -> None:
    edit_id = await submitted(rounds, f"winter [fault:{fault}]")
    await rounds.wait(7)
    await rounds.run(Step.POLL)
    edit = await rounds.edit(edit_id)
    assert edit.error is not None
    assert (edit.status, edit.error.kind, edit.error.retryable) == (EditStatus.FAILED, kind, retryable)
    assert edit.error.message
    assert edit.error.provider_code == 10_000
    assert edit.cost_state is CostState.UNKNOWN
    assert (await rounds.place(edit_id)).name == "final"
    assert await rounds.run(Step.SUBMIT) == []
    assert rounds.bought() == 1


async def test_a_setting_lets_a_failed_task_be_bought_again_as_a_new_attempt(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__REBUY_FAILED="1") as rounds:
        edit_id = await submitted(rounds, "winter [fault:failed]")
        await rounds.wait(7)
        await rounds.run(Step.POLL)
        edit = await rounds.edit(edit_id)
        assert (edit.status, edit.attempt, edit.task_id) == (EditStatus.QUEUED, 2, None)
        edit = await rounds.finish(edit_id)
        assert edit.error is not None
        assert (edit.error.kind, edit.attempt, edit.tasks_bought) == (ErrorKind.PROVIDER_FAILED, 2, 2)
        attempts = [rounds.clients.tokens.verify(row["webhook_secret"]) for row in rounds.sandbox.ledger()["tasks"]]
        assert [(attempt.edit_id, attempt.number) for attempt in attempts if attempt] == [(edit_id, 1), (edit_id, 2)]


async def test_a_moderated_task_is_not_bought_again_by_a_setting(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__REBUY_FAILED="3") as rounds:
        edit_id = await submitted(rounds, "winter [fault:moderated]")
        edit = await rounds.finish(edit_id)
        assert (edit.status, edit.tasks_bought, rounds.bought()) == (EditStatus.FAILED, 1, 1)


async def test_an_address_that_comes_a_moment_late_is_waited_for(rounds: Rounds) -> None:
    edit_id = await submitted(rounds, "winter [fault:no_address_once]")
    await rounds.wait(7)
    assert await polled(rounds, edit_id) == pytest.approx(2, abs=0.01)
    assert (await rounds.edit(edit_id)).waiting_for is Wait.NOTICE
    await polled(rounds, edit_id)
    assert (await rounds.place(edit_id)).name == "store"


async def test_trouble_before_does_not_use_up_the_second_look_for_an_address(rounds: Rounds) -> None:
    edit_id = await submitted(rounds, "winter [fault:get_500_once=4][fault:no_address_once]")
    await rounds.wait(7)
    for _ in range(5):
        await polled(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    await polled(rounds, edit_id)
    assert (await rounds.place(edit_id)).name == "store"


async def test_no_address_after_a_second_read_is_a_result_that_is_not_there(rounds: Rounds) -> None:
    edit_id = await submitted(rounds, "winter [fault:no_address]")
    await rounds.wait(7)
    await polled(rounds, edit_id)
    await polled(rounds, edit_id)
    edit = await rounds.edit(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, edit.cost_state) == (ErrorKind.RESULT_UNAVAILABLE, CostState.CHARGED)


async def test_a_file_inside_the_answer_is_stored_without_a_download(rounds: Rounds) -> None:
    edit_id = await submitted(rounds, "winter [fault:base64]")
    edit = await rounds.finish(edit_id)
    assert edit.status is EditStatus.SUCCEEDED
    assert rounds.sandbox.stats()["downloads"] == 0
    assert len((await rounds.texts(edit_id)).get("addr", "")) < 64  # the picture never goes through Redis


async def test_a_task_not_visible_at_first_is_looked_for_again(rounds: Rounds) -> None:
    edit_id = await submitted(rounds, "winter [fault:not_visible_once]")
    assert await polled(rounds, edit_id) == pytest.approx(1, abs=0.01)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED


async def test_a_task_that_stays_unknown_has_no_result(rounds: Rounds) -> None:
    edit_id = await submitted(rounds, "winter [fault:not_visible_once=50]")
    began = await rounds.now()
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, rounds.bought()) == (ErrorKind.RESULT_UNAVAILABLE, 1)
    assert await rounds.now() - began > 60  # no quick verdict


async def test_trouble_before_does_not_use_up_the_patience_with_an_unknown_task(rounds: Rounds) -> None:
    edit_id = await submitted(rounds, "winter [fault:get_500_once=12]")
    for _ in range(12):
        await polled(rounds, edit_id)
    rounds.sandbox.reset()  # the provider has forgotten everything
    await polled(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING


@pytest.mark.parametrize("outage", ["refuse_503", "drop"])
async def test_an_outage_fails_nothing_however_long_it_lasts(outage: str, rounds: Rounds) -> None:
    edit_id = await submitted(rounds)
    rounds.sandbox.options(outage=outage)
    gaps = [await polled(rounds, edit_id) for _ in range(50)]
    assert gaps[:5] == pytest.approx([1, 2, 4, 8, 16], abs=0.01)
    assert gaps[-1] == pytest.approx(30, abs=0.01)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.attempt) == (EditStatus.PROCESSING, 1)
    rounds.sandbox.options(outage="none")
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED
    assert rounds.bought() == 1


async def test_a_throttled_read_closes_the_reads_for_everybody(rounds: Rounds) -> None:
    rounds.sandbox.options(retry_after=9)
    edit_id, other = await submitted(rounds, "winter [fault:get_429_once]"), await submitted(rounds)
    await rounds.wait(2.5)
    claim, lease = await rounds.claim_one(Step.POLL)
    assert claim.id == edit_id
    await rounds.work[Step.POLL].work(claim, lease)
    place = await rounds.place(edit_id)
    assert place.name == "poll"
    assert place.after >= 8.8
    claims, _ = await rounds.claim(Step.POLL)
    assert claims.claims == []  # the other one is due, too
    assert 1 < claims.next <= 9
    await rounds.wait(9.1)
    probe, lease = await rounds.claim_one(Step.POLL)
    assert (await rounds.claim(Step.POLL))[0].claims == []
    await rounds.work[Step.POLL].work(probe, lease)
    assert (await rounds.limit("read"))["half"] == "0"
    assert {(await rounds.finish(each)).status for each in (edit_id, other)} == {EditStatus.SUCCEEDED}


async def test_a_refused_key_pauses_submitting_and_fails_no_edit(rounds: Rounds) -> None:
    edit_id = await submitted(rounds)
    rounds.sandbox.options(api_key="another-key")
    await polled(rounds, edit_id)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    assert (await rounds.clients.repository.gate()).reason is Wait.PROVIDER_ACCOUNT
    rounds.sandbox.options(api_key="sandbox-key")
    assert (await rounds.finish(edit_id)).status is EditStatus.SUCCEEDED


async def test_a_task_that_failed_for_want_of_credit_pauses_submitting(open_rounds: OpenRounds) -> None:
    async def behave(request: wire.Request, writer: asyncio.StreamWriter) -> None:
        name = "create-accepted" if request.method == "POST" else "get-failed-no-credit"
        writer.write(wire.recorded(name))

    async with (
        wire.provider(behave) as provider,
        open_rounds(RETOUCH_QUBICO__BASE_URL=provider.base_url) as rounds,
    ):
        edit_id = await submitted(rounds)
        await polled(rounds, edit_id)
        edit = await rounds.edit(edit_id)
        assert edit.error is not None
        assert edit.error.kind is ErrorKind.PROVIDER_FAILED
        await rounds.accept()
        assert await rounds.run(Step.SUBMIT) == []
        assert (await rounds.clients.repository.gate()).reason is Wait.PROVIDER_ACCOUNT
        assert len(provider.posts) == 1


async def test_a_retry_of_a_task_that_brought_nothing_buys_anew(rounds: Rounds) -> None:
    edit_id = await submitted(rounds, "winter [fault:no_address]")
    assert (await rounds.finish(edit_id)).error
    await rounds.clients.repository.retry(edit_id)
    await rounds.reach(edit_id, EditStatus.QUEUED)
    edit = await rounds.finish(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, edit.attempt, edit.tasks_bought) == (ErrorKind.RESULT_UNAVAILABLE, 2, 2)
    assert rounds.bought() == 2


async def test_odd_casing_and_foreign_times_are_read(rounds: Rounds) -> None:
    edit_id = await submitted(rounds, "winter [fault:odd]")
    await rounds.wait(3)
    await rounds.run(Step.POLL)
    edit = await rounds.edit(edit_id)
    assert (edit.task_status, edit.waiting_for) == ("Processing", Wait.PROVIDER_RUN)
    await rounds.wait(4)
    await rounds.run(Step.POLL)
    completed = (await rounds.clients.claims.timeline(edit_id))[4]
    assert completed.type == "completed"
    assert completed.duration_ms == pytest.approx(4000, abs=10)
    assert abs(completed.at - datetime.now(UTC)) < timedelta(minutes=5)


async def test_a_callback_during_a_read_makes_the_edit_due_at_once(rounds: Rounds) -> None:
    edit_id = await submitted(rounds)
    await rounds.wait(2.5)
    claim, lease = await rounds.claim_one(Step.POLL)
    await rounds.clients.repository.nudge(edit_id, attempt=1, task_id=claim.task_id)
    await rounds.work[Step.POLL].work(claim, lease)
    assert (await rounds.place(edit_id)).due <= 0


async def test_who_decides_late_changes_nothing(rounds: Rounds) -> None:
    edit_id = await submitted(rounds)
    await rounds.wait(7)
    late, lease = await rounds.claim_one(Step.POLL)
    await rounds.wait(31)
    assert await rounds.run(Step.POLL) == [edit_id]
    before = await rounds.fields(edit_id)
    await rounds.work[Step.POLL].work(late, lease)
    assert await rounds.fields(edit_id) == before
