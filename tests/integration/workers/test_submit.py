"""Submit: one task for each claimed edit, and the next place of the edit after each failure."""

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from edits.attempts import Attempt
from edits.db.clock import boot_time
from edits.models import CostState, EditStatus, ErrorKind, Step, Wait
from edits.pacing.slots import GOOD_FOR
from edits.storage import layout
from edits.storage.links import Links
from tests.integration.workers.conftest import SECRET, OpenRounds
from tests.integration.workers.rounds import Rounds, picture, until
from tests.parts.valkey import free_port
from workers.lease import Lease
from workers.steps.submit import Submit


async def token_of(rounds: Rounds, edit_id: str, attempt: int = 1) -> str:
    return rounds.clients.tokens.sign(Attempt(edit_id, attempt))


async def test_a_bought_task_is_due_for_its_first_look(rounds: Rounds) -> None:
    edit_id = await rounds.accept("winter", steps=12)
    assert await rounds.run(Step.SUBMIT) == [edit_id]
    edit = await rounds.edit(edit_id)
    (row,) = rounds.sandbox.ledger()["tasks"]
    assert (edit.status, edit.task_id, edit.tasks_bought) == (EditStatus.PROCESSING, row["task_id"], 1)
    assert (edit.cost_units, edit.cost_state) == (200_000, CostState.CHARGED)
    place = await rounds.place(edit_id)
    assert place.name == "poll"
    assert place.after == pytest.approx((await rounds.clients.paces.of(12)).first_look(), abs=0.01)
    assert await rounds.events(edit_id) == ["accepted", "submitting", "submitted"]
    assert await rounds.waits(edit_id) == [Wait.FAIR_SHARE, Wait.SUBMIT]
    assert (row["prompt"], row["seed"]) == ("winter", 7)
    assert (row["webhook_endpoint"], row["webhook_secret"]) == ("", await token_of(rounds, edit_id))


async def test_with_callbacks_the_token_stands_in_the_address(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__WEBHOOKS="true") as rounds:
        rounds.sandbox.options(next_faults={"callback_lost": 1})
        edit_id = await rounds.accept()
        await rounds.run(Step.SUBMIT)
        (row,) = rounds.sandbox.ledger()["tasks"]
        token = await token_of(rounds, edit_id)
        assert row["webhook_endpoint"] == f"{rounds.clients.settings.public_url}/v1/callbacks/qubico/{token}"


async def test_an_upload_is_sent_by_an_address_signed_now_and_kept_with_the_intent(rounds: Rounds) -> None:
    edit_id = await rounds.accept(upload="input.png")
    key = layout.input_key(edit_id, "png")
    await rounds.clients.storage.put(key, picture(), content_type="image/png")
    await rounds.run(Step.SUBMIT)
    edit = await rounds.edit(edit_id)
    assert edit.task_id
    sent = (await rounds.clients.qubico.get(edit.task_id)).input["image"]
    assert (await rounds.texts(edit_id))["sent"] == sent
    token = sent.removeprefix(f"{rounds.clients.settings.public_url}/v1/objects/").partition("/")[0]
    assert Links(SECRET).verify(token, now=edit.created_at) == key


async def test_an_edit_whose_address_cannot_be_signed_waits_in_the_queue(
    open_rounds: OpenRounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    # Without keys in the environment they are asked for here, and nobody answers.
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{free_port()}/")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/dev/null")
    async with open_rounds(RETOUCH_STORAGE_URL="s3://bucket/prefix") as rounds:
        edit_id = await rounds.accept(upload="input.png")
        await rounds.run(Step.SUBMIT)
        edit = await rounds.edit(edit_id)
        assert (edit.status, edit.attempt, rounds.bought()) == (EditStatus.QUEUED, 1, 0)
        assert (await rounds.place(edit_id)).name == "queue"


@pytest.mark.parametrize("fault", ["drop", "html_502", "drop_before", "refuse_503"])
async def test_a_lost_answer_is_looked_for_and_never_sent_again(fault: str, rounds: Rounds) -> None:
    edit_id = await rounds.accept(f"winter [fault:{fault}]")
    await rounds.run(Step.SUBMIT)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.waiting_for) == (EditStatus.SUBMITTING, Wait.ANSWER_LOST)
    assert edit.cost_state is CostState.UNKNOWN
    place = await rounds.place(edit_id)
    assert place.name == "adopt"
    assert place.after == pytest.approx(2, abs=0.01)
    assert (await rounds.clients.repository.gate()).reason is None
    assert await rounds.run(Step.SUBMIT) == []
    assert rounds.sandbox.stats()["creates"] == 1


async def test_a_failed_task_inside_a_500_is_bought_and_read_at_once(rounds: Rounds) -> None:
    edit_id = await rounds.accept("winter [fault:failed_create_500]")
    await rounds.run(Step.SUBMIT)
    place = await rounds.place(edit_id)
    assert (place.name, rounds.bought()) == ("poll", 1)
    assert place.due <= 0
    await rounds.run(Step.POLL)
    edit = await rounds.edit(edit_id)
    assert edit.error is not None
    assert (edit.error.kind, edit.tasks_bought) == (ErrorKind.PROVIDER_FAILED, 1)


async def test_nothing_leaves_after_the_send_window(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    frozen_for = rounds.clients.settings.leases.send_window.total_seconds() + 0.1
    await rounds.work[Step.SUBMIT].work(claim, replace(lease, began=boot_time() - frozen_for))
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.attempt) == (EditStatus.QUEUED, 1)
    assert rounds.sandbox.stats()["creates"] == 0
    assert "until" not in await rounds.limit("create")  # our own doing, not the provider's
    await rounds.run(Step.SUBMIT)
    assert rounds.bought() == 1


@dataclass(frozen=True)
class SleptWhileConnecting(Lease):
    """The machine slept between the first look at the time and the next."""

    ages: Iterator[float] = field(default_factory=lambda: itertools.chain([0.0], itertools.repeat(3600.0)))

    @property
    def age(self) -> float:
        return next(self.ages)


async def test_the_window_is_looked_at_again_with_the_connection_in_hand(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    await rounds.work[Step.SUBMIT].work(claim, SleptWhileConnecting(lease.began, lease.length))
    assert (await rounds.edit(edit_id)).status is EditStatus.QUEUED
    assert rounds.sandbox.stats()["creates"] == 0
    assert "not_sent" in await rounds.events(edit_id)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a clock that counts sleep")
def test_the_window_is_counted_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.clock_gettime
    began = Lease.starting(timedelta(seconds=40), margin=timedelta(seconds=5))
    monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + 600 * (clock == time.CLOCK_BOOTTIME))
    assert began.age > 599


async def test_creates_leave_at_their_slots(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__CREATES_PER_SECOND="10") as rounds:
        for _ in range(5):
            await rounds.accept()
        claims, lease = await rounds.claim(Step.SUBMIT)
        assert [claim.slot for claim in claims.claims] == pytest.approx([0, 0.1, 0.2], abs=0.01)
        submit = rounds.work[Step.SUBMIT]
        await asyncio.gather(*(submit.work(claim, lease) for claim in claims.claims))
        sent = [row["created_at"] for row in rounds.sandbox.ledger()["tasks"]]
        assert all(later - earlier > 0.05 for earlier, later in itertools.pairwise(sent))
        assert len(sent) == 3


async def test_a_slot_that_was_missed_is_not_used(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    stood_still = replace(claim, send_at=boot_time() - 1)
    await Submit(replace(rounds.clients, slot_good_for=GOOD_FOR)).work(stood_still, lease)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    assert int(await rounds.redis.hget(rounds.key("stats"), "granted:create")) >= 2


async def test_a_late_probe_goes_all_the_same(rounds: Rounds) -> None:
    await rounds.clients.limiter.open("create")
    await rounds.wait(1.1)
    edit_id = await rounds.accept()
    probe, lease = await rounds.claim_one(Step.SUBMIT)
    submit = Submit(replace(rounds.clients, slot_good_for=GOOD_FOR))
    await submit.work(replace(probe, send_at=boot_time() - 1), lease)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    assert (await rounds.limit("create"))["half"] == "0"
    assert await rounds.redis.hget(rounds.key("stats"), "granted:create") == "1"


async def test_what_was_claimed_before_a_refusal_is_not_sent_after_it(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    rounds.clients.circuits.create.opened()
    await rounds.work[Step.SUBMIT].work(claim, lease)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.attempt, edit.waiting_for) == (EditStatus.QUEUED, 1, Wait.COOLDOWN)
    assert rounds.sandbox.stats()["creates"] == 0


async def test_no_more_is_claimed_than_there_is_room_in_flight(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_QUBICO__MAX_IN_FLIGHT="2") as rounds:
        ids = [await rounds.accept() for _ in range(3)]
        assert await rounds.run(Step.SUBMIT) == ids[:2]
        assert await rounds.run(Step.SUBMIT) == []
        assert (await rounds.edit(ids[2])).waiting_for is Wait.IN_FLIGHT_CAP
        await rounds.finish(ids[0])
        assert await rounds.run(Step.SUBMIT) == [ids[2]]


async def test_a_task_bought_by_a_worker_that_was_given_up_is_taken_over(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    await rounds.wait(41)
    looking, its_lease = await rounds.claim_one(Step.ADOPT)
    assert looking.id == edit_id
    await rounds.work[Step.SUBMIT].work(claim, lease)  # by its own clock it is not late
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    await rounds.work[Step.ADOPT].work(looking, its_lease)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.tasks_bought, rounds.bought()) == (EditStatus.PROCESSING, 1, 1)


async def test_an_edit_that_waited_too_long_expires_and_costs_nothing(rounds: Rounds) -> None:
    late, patient = await rounds.accept(expires_in=30), await rounds.accept(expires_in=300)
    await rounds.wait(31)
    assert await rounds.run(Step.SUBMIT) == [patient]
    edit = await rounds.edit(late)
    assert edit.error is not None
    assert (edit.error.kind, edit.error.retryable, edit.cost_state) == (ErrorKind.EXPIRED, False, CostState.RELEASED)
    assert (await rounds.place(late)).name == "final"
    assert rounds.bought() == 1


async def test_a_task_id_is_held_until_redis_takes_it(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    await rounds.redis.config_resetstat()
    await rounds.redis.config_set("min-replicas-to-write", 1)  # there are none: every write is refused

    async def refused() -> bool:
        return "errorstat_NOREPLICAS" in await rounds.redis.info("errorstats")

    try:
        working = asyncio.create_task(rounds.work[Step.SUBMIT].work(claim, lease))
        await until(refused)
        assert rounds.bought() == 1
        assert (await rounds.edit(edit_id)).task_id is None
    finally:
        await rounds.redis.config_set("min-replicas-to-write", 0)
    await asyncio.wait_for(working, 90)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.tasks_bought) == (EditStatus.PROCESSING, 1)


async def test_a_worker_that_was_told_to_end_sends_what_has_its_slot_by_then(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    await Submit(replace(rounds.clients, stopping=lambda: True)).work(claim, lease)
    assert ((await rounds.edit(edit_id)).status, rounds.bought()) == (EditStatus.PROCESSING, 1)


async def test_what_missed_its_slot_while_the_worker_ends_goes_back_into_the_queue(rounds: Rounds) -> None:
    edit_id = await rounds.accept()
    ending = Submit(replace(rounds.clients, stopping=lambda: True, slot_good_for=GOOD_FOR))
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    await ending.work(replace(claim, send_at=boot_time() - 1), lease)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.attempt, rounds.bought()) == (EditStatus.QUEUED, 1, 0)
    assert (await rounds.events(edit_id))[-1] == "handed_back"


async def test_no_task_is_lost_because_of_what_is_written_of_the_pace(rounds: Rounds) -> None:
    await rounds.redis.rpush(rounds.key("took", "28"), "900,8000,1,of a later release", "nonsense")
    edit_id = await rounds.accept()
    await rounds.run(Step.SUBMIT)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
