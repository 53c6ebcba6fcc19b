"""Circuits in the scripts: their outages, also after the clock was set back."""

from collections import Counter

import pytest

from edits.ceilings import Ceilings
from edits.db.circuits import Operation
from edits.db.sender import TRIES, ReplyLost, Scripts
from edits.models import Step, Wait
from tests.integration.edits.core import Core, Worker
from tests.parts.proxy import Proxy


async def outage(core: Core, operation: Operation, seconds: float = 5) -> None:
    await core.limiter.open(operation)
    await core.pass_time(seconds)
    await core.limiter.close(operation)


async def waits(core: Core, edit_id: str) -> list[tuple[str, str]]:
    events = await core.repository.timeline(edit_id) or []
    return [(event.type, str(event.wait)) for event in events[1:]]


async def test_an_open_circuit_tells_since_when_until_when_and_why(core: Core):
    await core.limiter.open("read", ago=3, cause="Unavailable: 503")
    found = await core.repository.outages()
    assert list(found) == ["read"]
    assert found["read"].cause == "Unavailable: 503"
    assert (found["read"].probe_at - found["read"].since).total_seconds() == pytest.approx(4, abs=0.1)
    await core.limiter.close("read")
    assert await core.repository.outages() == {}


@pytest.mark.parametrize("operation", ["create", "read", "storage"])
async def test_an_outage_of_a_time_to_come_is_told_of_no_edit(core: Core, operation: Operation):
    """The clock was set back after it: whoever waits now was not held up by it."""
    await core.pass_time(10_000)
    await outage(core, operation)
    await core.pass_time(-8000)
    for _ in range(2):
        claim = await core.processing()
        await core.pass_time(5)
        assert await core.complete(claim)
        await core.succeed(await core.claim("store"))
        assert "outage" not in await core.events(claim.id)


async def test_an_outage_of_a_time_to_come_is_not_told_with_one_of_now(core: Core):
    await core.pass_time(10_000)
    await outage(core, "create")
    await core.pass_time(-8000)
    edit_id = await core.queued()
    await core.pass_time(1)
    await outage(core, "create")
    await core.claim_submit()
    assert await waits(core, edit_id) == [
        ("outage", "fair_share"), ("recovered", "cooldown"), ("submitting", "fair_share"),
    ]  # fmt: skip


async def test_what_fails_after_the_clock_was_set_back_closes_all_the_same(core: Core):
    await core.pass_time(10_000)
    await core.limiter.open("read")
    await core.limiter.close("read")
    await core.pass_time(-8000)
    await core.limiter.open("read", age=0.1)
    assert list(await core.repository.outages()) == ["read"]


async def test_an_outage_that_lasts_is_not_told_before_it_began(core: Core):
    await core.pass_time(10_000)
    await core.limiter.open("read")
    await core.pass_time(-8000)
    await core.limiter.open("read", ago=2)
    since = (await core.repository.outages())["read"].since.timestamp() * 1000
    assert since == pytest.approx(await core.now() - 2000, abs=500)


@pytest.mark.parametrize(
    ("operation", "wait"), [("storage", Wait.STORAGE), ("download", Wait.COOLDOWN), ("read", Wait.COPY)]
)
async def test_what_is_away_is_what_a_copy_waits_for(core: Core, operation: Operation, wait: Wait):
    claim = await core.storing()
    await core.limiter.open(operation)
    assert (await core.edit(claim.id)).waiting_for == wait
    await core.limiter.close(operation)
    assert (await core.edit(claim.id)).waiting_for == Wait.COPY


async def test_who_is_shown_to_wait_for_what_is_away_waits_since_that_went_or_since_he_came(core: Core):
    before = await core.storing()
    await core.pass_time(10)
    await core.limiter.open("storage")
    down = (await core.repository.outages())["storage"].since
    assert (await core.edit(before.id)).waiting_since == down
    await core.pass_time(10)
    after = await core.processing()
    await core.complete(after)
    edit = await core.edit(after.id)
    assert edit.waiting_since is not None
    assert edit.waiting_since > down


async def test_while_reads_are_away_a_task_is_not_said_to_run(core: Core):
    claim = await core.processing()
    await core.limiter.open("read")
    assert (await core.edit(claim.id)).waiting_for == Wait.COOLDOWN


async def test_a_later_attempt_begins_without_the_outages_of_the_one_before(core: Core):
    claim = await core.processing()
    await core.redis.hset(core.key("e", claim.id), "ou", 70_000)
    assert await core.bought(claim, attempt=2, how="history") == "taken_over"
    assert "ou" not in await core.record(claim.id)


@pytest.mark.parametrize("away", [0, 60])
async def test_counts_of_a_heartbeat_without_an_answer_are_added_once(
    core: Core, far: Scripts, proxy: Proxy, away: float
):
    """However long it takes to come through: another process has forgotten this one meanwhile."""
    worker, other = Worker.of(far, Ceilings(1000, 1000, 1000)), core.worker()
    counts = Counter({"request:get:ok": 3})
    proxy.lose = TRIES
    with pytest.raises(ReplyLost):
        await worker.registry.heartbeat([Step.POLL], counts=counts)
    assert counts["request:get:ok"] == 3
    counts.update({"request:get:ok": 2})
    await core.pass_time(away)
    await other.registry.heartbeat([Step.POLL])
    for _ in range(2):
        await worker.registry.heartbeat([Step.POLL], counts=counts)
    assert await core.counter("request:get:ok") == 5
    assert not +counts
