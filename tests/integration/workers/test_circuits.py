"""Outages of one operation: a single probe at a time asks for the whole fleet, and every wait has its name after it."""

from typing import Any

import pytest

from edits.db.sender import ScriptError
from edits.models import EditStatus, Step, Wait
from edits.storage.backends import StorageUnavailable
from qubico.errors import AccountBlocked
from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds
from tests.parts.valkey import OwnServer
from workers.circuits import IN_A_ROW, Circuits, reading

EDITS = 8
COUNTS = {"create": "creates", "read": "gets", "history": "history_reads", "download": "downloads"}


async def go_on_for(rounds: Rounds, seconds: float) -> None:
    """All steps look once a second."""
    for _ in range(int(seconds)):
        for step in (Step.SUBMIT, Step.POLL, Step.STORE):
            await rounds.run(step)
        await rounds.wait(1)


async def check_timeline(rounds: Rounds, edit_id: str) -> dict[str, float]:
    """Seconds by wait; their sum is the whole life. A slow machine makes any of them longer, and none shorter."""
    edit = await rounds.edit(edit_id)
    timeline = await rounds.clients.claims.timeline(edit_id)
    assert edit.finished_at is not None
    whole = (edit.finished_at - edit.created_at).total_seconds()
    assert sum(event.duration_ms for event in timeline) / 1000 == pytest.approx(whole, rel=0.01, abs=0.01)
    assert all(event.wait is not None for event in timeline[1:])
    spans: dict[str, float] = {}
    for event in timeline[1:]:
        spans[str(event.wait)] = spans.get(str(event.wait), 0) + event.duration_ms / 1000
    return spans


@pytest.mark.parametrize("operation", ["create", "read", "download"])
async def test_an_outage_costs_a_few_probes_and_shows_as_a_wait(operation: str, rounds: Rounds) -> None:
    number_of = 3 * EDITS if operation == "create" else EDITS  # a round claims ten of them
    ids = [await rounds.accept(f"winter {number}") for number in range(number_of)]
    if operation != "create":
        await rounds.run(Step.SUBMIT)
    if operation == "download":
        await rounds.wait(8)
        await rounds.run(Step.POLL)
    rounds.sandbox.options(outage="refuse_503", outage_of=[operation])
    before = rounds.sandbox.stats()[COUNTS[operation]]
    await go_on_for(rounds, 62)
    asked = rounds.sandbox.stats()[COUNTS[operation]] - before
    assert asked <= 10 + 6  # a first round, then probes after 1, 2, 4, 8, 16 and 30 seconds
    assert operation in await rounds.clients.repository.outages()
    rounds.sandbox.options(outage="none", outage_of=[])
    lost = set()
    for edit_id in ids:
        if (await rounds.place(edit_id)).name == "adopt":  # a create that was refused with a 503 may have been bought
            lost.add(edit_id)
    await go_on_for(rounds, 60)
    assert await rounds.clients.repository.outages() == {}
    for edit_id in set(ids) - lost:
        assert (await rounds.edit(edit_id)).status is EditStatus.SUCCEEDED
        spans = await check_timeline(rounds, edit_id)
        assert spans[Wait.COOLDOWN] >= 30
        assert {"outage", "recovered"} <= set(await rounds.events(edit_id)) or Wait.COOLDOWN in spans
    assert len(lost) <= (asked if operation == "create" else 0)


async def test_storage_away_holds_copies_and_never_ends_an_edit(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [await rounds.accept(f"winter {number}") for number in range(EDITS)]
    await rounds.run(Step.SUBMIT)
    await rounds.wait(8)
    await rounds.run(Step.POLL)
    tries = 0

    async def away(*_given: object, **_options: Any) -> None:
        nonlocal tries
        tries += 1
        raise StorageUnavailable("the storage cannot be reached")

    with monkeypatch.context() as patched:
        patched.setattr(type(rounds.clients.storage), "get", away)
        await go_on_for(rounds, 62)
    assert tries <= EDITS + 6
    await go_on_for(rounds, 60)
    for edit_id in ids:
        assert (await rounds.edit(edit_id)).status is EditStatus.SUCCEEDED
        assert (await check_timeline(rounds, edit_id))[Wait.STORAGE] >= 30


async def test_reads_that_fail_now_and_then_close_nothing(rounds: Rounds) -> None:
    ids = [await rounds.accept(f"winter {number} [fault:get_500_once]") for number in range(IN_A_ROW - 1)]
    await go_on_for(rounds, 20)
    assert await rounds.clients.repository.outages() == {}
    assert {(await rounds.edit(edit_id)).status for edit_id in ids} == {EditStatus.SUCCEEDED}


async def test_what_one_process_found_out_holds_for_all(open_rounds: OpenRounds) -> None:
    async with open_rounds() as first, open_rounds() as second:
        await first.clients.limiter.open("read")
        await first.accept()
        await first.run(Step.SUBMIT)
        await second.wait(0.6)
        assert await second.run(Step.POLL) == []
        await second.wait(0.6)
        probe, _ = await second.claim(Step.POLL)
        assert probe.half == {"read"}
        assert await first.run(Step.POLL) == []


async def test_a_probe_that_met_other_trouble_first_makes_way_for_another(rounds: Rounds) -> None:
    """Storage is back, but a probe of it has to download first, and the file host is away."""
    ids = [await rounds.accept(f"winter {number}") for number in range(2)]
    await rounds.run(Step.SUBMIT)
    await rounds.wait(8)
    await rounds.run(Step.POLL)
    await rounds.clients.limiter.open("storage")
    rounds.sandbox.options(outage="refuse_503", outage_of=["download"])
    await rounds.wait(2)
    probe, lease = await rounds.claim(Step.STORE)
    (claim,) = probe.claims
    assert probe.half == {"storage"}
    assert await rounds.run(Step.STORE) == []
    await rounds.work[Step.STORE].work(claim, lease)
    await rounds.clients.circuits.worked_on(claim.id)
    again = await rounds.run(Step.STORE)
    assert len(again) == 1
    assert set(again) < set(ids)
    assert list(await rounds.clients.repository.outages()) == ["storage"]


async def test_late_answers_from_before_the_closing_do_not_lengthen_it(rounds: Rounds) -> None:
    circuits = Circuits(rounds.clients.limiter)
    for _ in range(IN_A_ROW):
        await circuits.read.failed("edit", TimeoutError(), age=0)
    await rounds.wait(1.1)
    for _ in range(IN_A_ROW):
        await circuits.read.failed("edit", TimeoutError(), age=10)
    assert (await rounds.limit("read"))["back"] == "1000"


async def test_the_deadline_waits_while_reads_are_impossible(open_rounds: OpenRounds) -> None:
    async with open_rounds(RETOUCH_EDITS__DEADLINE="100s") as rounds:
        edit_id = await rounds.accept("winter [fault:slow=100]")  # runs for 400 s
        await rounds.run(Step.SUBMIT)
        await go_on_for(rounds, 20)
        rounds.sandbox.options(outage="refuse_503", outage_of=["read"])
        await rounds.wait(5)
        await go_on_for(rounds, 20)
        await rounds.wait(150)
        rounds.sandbox.options(outage="none", outage_of=[])
        await go_on_for(rounds, 40)
        assert (await rounds.edit(edit_id)).status is EditStatus.PROCESSING
        await go_on_for(rounds, 60)
        edit = await rounds.edit(edit_id)
        assert edit.status is EditStatus.FAILED
        assert edit.error is not None
        assert edit.error.kind == "provider_timeout"


async def test_a_refused_account_is_a_span_of_the_timeline(rounds: Rounds) -> None:
    rounds.sandbox.options(balance_usd=0.0)
    edit_id = await rounds.accept()
    await go_on_for(rounds, 40)
    rounds.sandbox.options(balance_usd=5.0)
    await go_on_for(rounds, 40)
    assert (await rounds.edit(edit_id)).status is EditStatus.SUCCEEDED
    spans = await check_timeline(rounds, edit_id)
    assert spans[Wait.PROVIDER_ACCOUNT] >= 37


async def test_a_read_that_tells_nothing_of_the_operation_lets_another_probe_go(rounds: Rounds) -> None:
    """Whoever reads beside the polls: the account was refused, which says nothing of whether reading works."""
    tokens, circuit = rounds.clients.rate_tokens, rounds.clients.circuits.read
    await rounds.clients.limiter.open("read")
    await rounds.wait(2)
    with pytest.raises(AccountBlocked):
        async with reading(tokens, circuit):
            raise AccountBlocked("the key was refused")
    assert circuit.probes == set()
    async with reading(tokens, circuit):
        pass
    assert await rounds.clients.repository.outages() == {}


async def test_what_a_probe_found_is_told_again_if_redis_did_not_hear_it(
    open_rounds: OpenRounds, own_server: OwnServer
) -> None:
    async with open_rounds(RETOUCH_REDIS_URL=own_server.url) as rounds:
        circuit = rounds.clients.circuits.storage
        await rounds.clients.limiter.open("storage")
        await rounds.wait(2)
        circuit.probes.add("the probe")
        for tell in (
            lambda: circuit.failed("the probe", StorageUnavailable("away"), age=0.0),
            lambda: circuit.answered("the probe"),
        ):
            own_server.kill()
            with pytest.raises(ScriptError):
                await tell()
            assert circuit.probes == {"the probe"}
            own_server.start()
        await circuit.answered("the probe")
        assert await rounds.clients.repository.outages() == {}
