"""The figures for Prometheus: their names are a contract, their values those of what happened."""

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edits import errors, stats
from edits.db.connection import connect
from edits.db.constants import WAIT_BUCKETS
from edits.db.repository import EditRepository
from edits.models import CostState, ErrorKind, Priority, Step
from tests.integration.edits.core import LEASE, PRICE, Core, moment
from tests.parts.valkey import free_port

CLUSTER = {
    "retouch_edits_accepted", "retouch_edits_ended", "retouch_edits", "retouch_oldest_waiting_seconds",
    "retouch_wait_seconds", "retouch_notice_lag_seconds", "retouch_provider_requests",
    "retouch_provider_tasks_bought", "retouch_limit_used_ratio", "retouch_limit_binding",
    "retouch_circuit_open", "retouch_unknown_submits",
    "retouch_spend_units", "retouch_chains_alive", "retouch_submitting_shut", "retouch_unknown_paid_tasks",
}  # fmt: skip
"""Counters without their `_total`, which the format adds."""

Samples = dict[tuple[str, tuple[str, ...]], float]


async def _samples(core: Core, scope: str | None = "cluster") -> Samples:
    """By name and the values of the labels, in the order of their names."""
    text = (await stats.render(core.repository, scope=scope)).decode()
    return {
        (sample.name, tuple(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_every_figure_of_the_contract_is_there_before_anything_happened(core: Core):
    text = (await stats.render(core.repository, scope=None)).decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert names == CLUSTER | {"retouch_build_info"}


@pytest.mark.parametrize(
    ("scope", "names"), [("process", {"retouch_build_info"}), ("cluster", CLUSTER)], ids=["process", "cluster"]
)
async def test_a_scope_shows_its_own_figures_alone(core: Core, scope: str, names: set[str]):
    text = (await stats.render(core.repository, scope=scope)).decode()
    assert {family.name for family in text_string_to_metric_families(text)} == names


async def test_what_runs_here_is_named(core: Core):
    (found,) = [labels for (name, labels) in await _samples(core, "process") if name == "retouch_build_info"]
    python, record_format, version = found
    assert python.startswith("3.")
    assert record_format == "1"
    assert version


async def test_edits_are_counted_as_they_come_move_and_end(core: Core):
    await core.succeed(await core.storing())
    await core.fail(await core.processing(), ErrorKind.PROVIDER_FAILED, cost=CostState.UNKNOWN)
    await core.repository.cancel(await core.queued())
    await core.storing()
    await core.processing()
    await core.adopting()
    await core.submitting()
    await core.queued()
    await core.queued(tenant="acme")
    found = await _samples(core)
    assert found["retouch_edits_accepted_total", ()] == 9
    ended = {labels: value for (name, labels), value in found.items() if name == "retouch_edits_ended_total"}
    assert ended == {("", "succeeded"): 1, ("provider_failed", "failed"): 1, ("", "canceled"): 1}
    now = {labels: value for (name, labels), value in found.items() if name == "retouch_edits"}
    assert now == {("queued",): 2, ("submitting",): 2, ("processing",): 1, ("storing",): 1}
    assert found["retouch_unknown_submits", ()] == 1
    assert found["retouch_provider_tasks_bought_total", ()] == 4
    assert found["retouch_spend_units_total", ()] == 4 * PRICE


@pytest.mark.parametrize("priority", list(Priority))
async def test_the_oldest_waiting_edit_is_as_old_as_it_waits(core: Core, priority: Priority):
    await core.queued(priority=priority)
    await core.pass_time(90)
    await core.queued(tenant="acme")
    assert (await _samples(core))["retouch_oldest_waiting_seconds", ()] == pytest.approx(90, abs=1)


async def test_waits_add_up_to_the_lives_of_the_edits(core: Core):
    edit_id = await core.queued()
    await core.pass_time(3)
    (claim,) = await core.claim_submit()
    await core.pass_time(0.3)
    await core.bought(claim)
    await core.pass_time(20)
    now = await core.now()
    await core.complete(await core.claim("poll"), started_at=moment(now - 15_000), ended_at=moment(now - 1_200))
    await core.succeed(await core.claim("store"))
    found = await _samples(core)
    sums = {labels[0]: value for (name, labels), value in found.items() if name == "retouch_wait_seconds_sum"}
    assert set(sums) == {"fair_share", "submit", "provider_queue", "provider_run", "notice", "copy"}
    assert sums["provider_run"] == pytest.approx(13.8)
    edit = await core.edit(edit_id)
    assert edit.finished_at is not None
    assert sum(sums.values()) == pytest.approx((edit.finished_at - edit.created_at) / timedelta(seconds=1))
    assert found["retouch_wait_seconds_bucket", ("2.5", "fair_share")] == 0
    assert found["retouch_wait_seconds_bucket", ("5.0", "fair_share")] == 1
    assert found["retouch_wait_seconds_count", ("fair_share",)] == 1
    assert found["retouch_notice_lag_seconds_bucket", ("2.5",)] == 1
    assert found["retouch_notice_lag_seconds_sum", ()] == pytest.approx(1.2, abs=0.5)


async def test_buckets_of_a_histogram_are_those_that_the_scripts_count(busy: Core):
    busy.damaged = True
    for limit in (*WAIT_BUCKETS, 10 * WAIT_BUCKETS[-1]):
        await busy.redis.delete(busy.key("stats"))
        edit_id = await busy.queued()
        await busy.pass_time(limit / 1000 - 0.03)
        await busy.repository.cancel(edit_id)
        waited = (await busy.repository.timeline(edit_id) or [])[-1].duration_ms
        bucket = next((str(bound) for bound in WAIT_BUCKETS if waited <= bound), "inf")
        assert await busy.counter(f"wait:fair_share:{bucket}") == 1


async def test_the_limit_that_holds_the_queue_is_told(core: Core):
    core.process = core.worker(in_flight=2)
    await core.process.registry.heartbeat([Step.SUBMIT])
    for _ in range(3):
        await core.queued()
    await core.process.claims.submit(5, lease=LEASE)
    found = await _samples(core)
    assert found["retouch_limit_used_ratio", ("max_in_flight",)] == 1
    assert found["retouch_limit_binding", ("max_in_flight",)] == 1
    assert found["retouch_limit_binding", ("creates_per_second",)] == 0


async def test_chains_that_are_alive_are_counted(core: Core):
    await core.process.registry.heartbeat([Step.POLL, Step.STORE])
    await core.worker().registry.heartbeat([Step.POLL])
    assert await _chains(core) == {"submit": 0, "poll": 2, "store": 1, "adopt": 0, "sweep": 0}
    await core.pass_time(7.1)
    await core.process.registry.heartbeat([])
    assert (await _chains(core))["poll"] == 0


async def _chains(core: Core) -> dict[str, float]:
    found = await _samples(core)
    return {labels[0]: value for (name, labels), value in found.items() if name == "retouch_chains_alive"}


async def test_without_redis_the_clusters_figures_are_unavailable_and_the_processes_own_are_not():
    redis = connect(f"redis://127.0.0.1:{free_port()}/0")
    try:
        repository = EditRepository(redis, namespace="nowhere")
        for scope in ("cluster", None):
            with pytest.raises(errors.Unavailable):
                await stats.render(repository, scope=scope)
        assert b"retouch_build_info" in await stats.render(repository, scope="process")
    finally:
        await redis.aclose()
