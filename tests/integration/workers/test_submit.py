"""Submit: one task for each claimed edit, and for whatever goes wrong the place where the edit waits next."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from edits import layout
from edits.attempts import Attempt
from edits.links import Links
from edits.models import CostState, EditStatus, ErrorKind, Wait
from edits.schedule import Step
from tests.contract import wire
from tests.integration.workers.conftest import SECRET, OpenRounds
from tests.integration.workers.rounds import Rounds, picture, until
from tests.parts.valkey import free_port
from workers.lease import boot_time


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
    assert place.due == pytest.approx(1, abs=0.3)
    assert await rounds.events(edit_id) == ["accepted", "submitting", "submitted"]
    assert await rounds.waits(edit_id) == [Wait.FAIR_SHARE, Wait.SUBMIT]
    assert (row["prompt"], row["seed"]) == ("winter", 7)
    assert (row["webhook_endpoint"], row["webhook_secret"]) == ("", await token_of(rounds, edit_id))


async def test_with_callbacks_the_token_stands_in_the_address_and_the_first_look_is_later(
    open_rounds: OpenRounds,
) -> None:
    async with open_rounds(RETOUCH_QUBICO__WEBHOOKS="true") as rounds:
        rounds.sandbox.options(next_faults={"callback_lost": 1})
        edit_id = await rounds.accept()
        await rounds.run(Step.SUBMIT)
        (row,) = rounds.sandbox.ledger()["tasks"]
        token = await token_of(rounds, edit_id)
        assert row["webhook_endpoint"] == f"{rounds.clients.settings.public_url}/v1/callbacks/qubico/{token}"
        assert (await rounds.place(edit_id)).due == pytest.approx(5, abs=0.3)


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


async def test_a_throttled_create_goes_back_and_closes_the_limit_for_everybody(rounds: Rounds) -> None:
    rounds.sandbox.options(next_faults={"throttled": 1}, retry_after=7)
    first, second = await rounds.accept(), await rounds.accept()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    await rounds.work[Step.SUBMIT].work(claim, lease)
    claims, _ = await rounds.claim(Step.SUBMIT)
    assert claims.claims == []
    assert claims.next == pytest.approx(7, abs=0.5)
    edit = await rounds.edit(first)
    assert (edit.status, edit.attempt, edit.waiting_for) == (EditStatus.QUEUED, 1, Wait.COOLDOWN)
    assert edit.cost_state is CostState.RESERVED
    assert (await rounds.place(first)).name == "queue"
    assert await rounds.events(first) == ["accepted", "submitting", "throttled"]
    assert rounds.bought() == 0
    await rounds.wait(7.1)
    for _ in range(2):  # half-open: one at a time, its success opens the limit
        await rounds.run(Step.SUBMIT)
        await rounds.wait(0.1)
    assert {(await rounds.edit(each)).status for each in (first, second)} == {EditStatus.PROCESSING}
    assert rounds.bought() == 2
    tokens = [row["webhook_secret"] for row in rounds.sandbox.ledger()["tasks"]]
    assert tokens == [await token_of(rounds, first), await token_of(rounds, second)]


async def test_a_limit_is_reopened_by_its_probe_however_late_that_is_answered(rounds: Rounds) -> None:
    await rounds.clients.limiter.close("create")
    await rounds.wait(1.1)
    await rounds.accept()
    await rounds.accept()
    probe, lease = await rounds.claim_one(Step.SUBMIT)
    assert (await rounds.claim(Step.SUBMIT))[0].claims == []  # while the probe is on its way the chain claims again
    await rounds.work[Step.SUBMIT].work(probe, lease)
    assert (await rounds.limit("create"))["half"] == "0"


async def test_a_refused_probe_reopens_the_limit_too(rounds: Rounds) -> None:
    await rounds.clients.limiter.close("create")
    await rounds.wait(1.1)
    await rounds.accept("winter [fault:rejected]")
    await rounds.run(Step.SUBMIT)
    assert (await rounds.limit("create"))["half"] == "0"


async def test_a_provider_out_of_reach_gets_nothing_and_is_left_alone_for_a_growing_time(
    open_rounds: OpenRounds,
) -> None:
    async with open_rounds(RETOUCH_QUBICO__BASE_URL=f"http://127.0.0.1:{free_port()}") as rounds:
        edit_id = await rounds.accept()
        pauses = []
        for _ in range(3):
            await rounds.run(Step.SUBMIT)
            pauses.append((await rounds.claim(Step.SUBMIT))[0].next)
            assert (await rounds.place(edit_id)).name == "queue"
            await rounds.wait(pauses[-1] + 0.1)
        edit = await rounds.edit(edit_id)
        assert (edit.status, edit.attempt, edit.tasks_bought) == (EditStatus.QUEUED, 1, 0)
        assert (await rounds.events(edit_id))[1:] == ["submitting", "not_sent"] * 3
        assert pauses == [pytest.approx(seconds, abs=0.4) for seconds in (1, 2, 4)]


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        pytest.param({"api_key": "another-key"}, {"api_key": "sandbox-key"}, id="401"),
        pytest.param({"balance_usd": 0.0}, {"balance_usd": 5.0}, id="402"),
    ],
)
async def test_a_refused_account_pauses_submitting_until_it_answers(
    broken: dict[str, object], mended: dict[str, object], rounds: Rounds
) -> None:
    rounds.sandbox.options(**broken)
    edit_id = await rounds.accept()
    await rounds.run(Step.SUBMIT)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.waiting_for, edit.attempt) == (EditStatus.QUEUED, Wait.PROVIDER_ACCOUNT, 1)
    asked = rounds.sandbox.stats()["account_reads"]
    assert await rounds.run(Step.SUBMIT) == []
    assert rounds.sandbox.stats()["account_reads"] == asked  # every 15 s, not at every claim
    await rounds.wait(15.1)
    assert await rounds.run(Step.SUBMIT) == []
    assert rounds.sandbox.stats()["account_reads"] == asked + 1
    assert (await rounds.edit(edit_id)).waiting_for is Wait.PROVIDER_ACCOUNT
    rounds.sandbox.options(**mended)
    await rounds.wait(15.1)
    await rounds.run(Step.SUBMIT)  # asks the account
    await rounds.run(Step.SUBMIT)
    assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
    assert rounds.bought() == 1
    assert Wait.PROVIDER_ACCOUNT in await rounds.waits(edit_id)


@pytest.mark.parametrize(
    ("name", "status", "kind", "paused"),
    [
        ("blocked-403-suspended", EditStatus.QUEUED, None, True),
        ("refused-403-model", EditStatus.FAILED, ErrorKind.REJECTED, False),
        ("refused-422", EditStatus.FAILED, ErrorKind.REJECTED, False),
        ("refused-400-banned-prompt", EditStatus.FAILED, ErrorKind.MODERATED, False),
    ],
)
async def test_recorded_refusals_mean(
    name: str, status: EditStatus, kind: ErrorKind | None, paused: bool, open_rounds: OpenRounds
) -> None:
    async with (
        wire.provider(wire.says(wire.recorded(name))) as provider,
        open_rounds(RETOUCH_QUBICO__BASE_URL=provider.base_url) as rounds,
    ):
        edit_id = await rounds.accept()
        await rounds.run(Step.SUBMIT)
        edit = await rounds.edit(edit_id)
        assert (edit.status, edit.error and edit.error.kind) == (status, kind)
        assert ((await rounds.clients.limiter.gate()).reason is Wait.PROVIDER_ACCOUNT) == paused
        assert len(provider.posts) == 1
        if kind:
            assert edit.cost_state is CostState.RELEASED
            assert edit.error is not None
            assert not edit.error.retryable
            assert (await rounds.place(edit_id)).name == "final"


@pytest.mark.parametrize("fault", ["drop", "html_502", "drop_before", "refuse_503"])
async def test_a_lost_answer_is_looked_for_and_never_sent_again(fault: str, rounds: Rounds) -> None:
    edit_id = await rounds.accept(f"winter [fault:{fault}]")
    await rounds.run(Step.SUBMIT)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.waiting_for) == (EditStatus.SUBMITTING, Wait.ANSWER_LOST)
    assert edit.cost_state is CostState.UNKNOWN
    place = await rounds.place(edit_id)
    assert place.name == "adopt"
    assert place.due == pytest.approx(2, abs=0.3)
    assert (await rounds.clients.limiter.gate()).reason is None
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
    await asyncio.wait_for(working, 10)
    edit = await rounds.edit(edit_id)
    assert (edit.status, edit.tasks_bought) == (EditStatus.PROCESSING, 1)
