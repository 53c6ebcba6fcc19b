"""Refused creates: by a limit, by the account, for their input, or by an unreachable provider."""

import pytest

from edits.models import CostState, EditStatus, ErrorKind, Step, Wait
from tests.contract import wire
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds
from tests.integration.workers.test_submit import token_of
from tests.parts.valkey import free_port


async def test_a_throttled_create_goes_back_and_closes_the_limit_for_everybody(rounds: Rounds) -> None:
    rounds.sandbox.options(next_faults={"throttled": 1}, retry_after=7)
    first, second = await rounds.accept(), await rounds.accept()
    claim, lease = await rounds.claim_one(Step.SUBMIT)
    await rounds.work[Step.SUBMIT].work(claim, lease)
    claims, _ = await rounds.claim(Step.SUBMIT)
    assert claims.claims == []
    assert 1 < claims.next <= 7
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
    await rounds.clients.limiter.open("create")
    await rounds.wait(1.1)
    await rounds.accept()
    await rounds.accept()
    probe, lease = await rounds.claim_one(Step.SUBMIT)
    assert (await rounds.claim(Step.SUBMIT))[0].claims == []  # while the probe is on its way the chain claims again
    await rounds.work[Step.SUBMIT].work(probe, lease)
    assert (await rounds.limit("create"))["half"] == "0"


async def test_a_refused_probe_reopens_the_limit_too(rounds: Rounds) -> None:
    await rounds.clients.limiter.open("create")
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
            assert (await rounds.claim(Step.SUBMIT))[0].claims == []
            pauses.append(int((await rounds.limit("create"))["back"]) / 1000)
            assert (await rounds.place(edit_id)).name == "queue"
            await rounds.wait(pauses[-1] + 0.1)
        edit = await rounds.edit(edit_id)
        assert (edit.status, edit.attempt, edit.tasks_bought) == (EditStatus.QUEUED, 1, 0)
        assert (await rounds.events(edit_id))[1:] == ["submitting", "not_sent"] * 3
        assert pauses == [1, 2, 4]


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
        assert ((await rounds.clients.repository.gate()).reason is Wait.PROVIDER_ACCOUNT) == paused
        assert len(provider.posts) == 1
        if kind:
            assert edit.cost_state is CostState.RELEASED
            assert edit.error is not None
            assert not edit.error.retryable
            assert (await rounds.place(edit_id)).name == "final"
