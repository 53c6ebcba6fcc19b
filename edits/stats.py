"""Prometheus figures. Those of the cluster are counted in Redis by the script that changes the state, so all agree."""

import heapq
import platform
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from edits import fairness
from edits.db import clock, workers
from edits.db.admission import Admission
from edits.db.circuits import OPERATIONS
from edits.db.connection import answering
from edits.db.constants import FORMAT, WAIT_BUCKETS
from edits.db.fields import Field
from edits.db.keys import Key
from edits.db.repository import EditRepository
from edits.models import Priority

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

LOOKED_THROUGH: Final = 20_000
"""Places of all queues together among which the oldest edit is looked for; beyond, only edits younger in line stand."""


class _Fixed:
    """A registry's collector of figures that were read a moment ago."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> list[Metric]:
        return self._families


async def render(repository: EditRepository, *, scope: str | None, admission: Admission | None = None) -> bytes:
    """The figures as text. `scope`: process, cluster, or None for both. Raises Unavailable.

    `admission`: the caps of a process that takes edits in, and what it refused.
    """
    families: list[Metric] = []
    if scope != "cluster":
        families += _process(admission)
    if scope != "process":
        read = await _read(repository)
        if admission is not None:
            read["room"] = await _room(admission, read["queued"])
        families += _cluster(read)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(families))
    return generate_latest(registry)


async def _read(repository: EditRepository) -> dict[str, Any]:
    ns = repository.namespace
    pipe = repository.redis.pipeline(transaction=False)
    pipe.hgetall(Key.STATS.of(ns))
    for place in ("submit", "adopt", "poll", "store"):
        pipe.zcard(Key.DUE.of(ns, place))
    pipe.zcard(Key.ABANDONED.of(ns))
    pipe.zrange(Key.TENANTS.of(ns), 0, -1)
    workers.ask(pipe, ns)
    for operation in OPERATIONS:
        pipe.hget(Key.LIMIT.of(ns, operation), "half")
    pipe.exists(Key.DOUBT.of(ns))
    pipe.zcard(Key.UNKNOWN.of(ns))
    pipe.hgetall(Key.CEILINGS.of(ns))
    pipe.hgetall(Key.GATE.of(ns))
    pipe.time()
    pipe.mget(Key.CLOCK.of(ns), Key.TICK.of(ns), Key.QUEUED.of(ns))
    async with answering():
        answers = await pipe.execute()
        oldest = await _oldest(repository, answers[6])
    *kept, queued = answers[-1]
    now = clock.reckon(answers[-2], *kept)
    return {
        "stats": {name: int(value) for name, value in answers[0].items()},
        "places": dict(zip(("submit", "adopt", "poll", "store", "abandoned"), answers[1:6], strict=True)),
        "queued": max(0, int(queued or 0)),
        "oldest": 0 if oldest is None else (now - oldest) / 1000,
        "chains": workers.workers_of(answers[7 : 7 + workers.ASKED], now=now).on,
        "outages": dict(zip(OPERATIONS, answers[7 + workers.ASKED :], strict=False)),
        "ceilings": {name: float(value) for name, value in answers[-4].items()},
        "gate": answers[-3],
        "shut": answers[-6],
        "unknown": answers[-5],
    }


async def _oldest(repository: EditRepository, tenants: list[str]) -> int | None:
    """The earliest arrival (ms) in all queues.

    It need not be first in line: its priority may put it behind younger ones. As an id begins with the time at which it
    was made, the oldest few are found by their ids; an edit that was tried again has an older id than arrival.
    """
    ns = repository.namespace
    pipe = repository.redis.pipeline(transaction=False)
    for tenant in tenants:
        pipe.zrange(Key.QUEUE.of(ns, tenant), 0, LOOKED_THROUGH // len(tenants))
    lines = await pipe.execute() if tenants else []
    candidates = {line[0] for line in lines if line} | {
        edit_id for line in lines for edit_id in heapq.nsmallest(3, line)
    }
    for edit_id in candidates:
        pipe.hmget(Key.RECORD.of(ns, edit_id), Field.ARRIVAL, Field.PRIORITY)
    rows = await pipe.execute() if candidates else []
    return min((int(at) - fairness.arrival_shift(Priority(priority)) for at, priority in rows if at), default=None)


async def _room(admission: Admission, queued: int) -> dict[str, float]:
    """How full what bounds the queue is, by limit."""
    state = await admission.memory.look()
    ratios = {"max_queued": queued / admission.max_queued}
    return ratios | ({"redis_memory": state.used / state.cap} if state and state.cap else {})


def _process(admission: Admission | None) -> Iterator[Metric]:
    info = GaugeMetricFamily("retouch_build_info", "What runs here.", labels=["version", "record_format", "python"])
    info.add_metric([_version(), str(FORMAT), platform.python_version()], 1)
    yield info
    if admission is not None:
        refused = CounterMetricFamily("retouch_edits_refused", "Edits refused for want of room.", labels=["code"])
        for code in ("queue_full", "tenant_queue_full"):
            refused.add_metric([code], admission.refused[code])
        yield refused


def _version() -> str:
    try:
        return metadata.version("retouch")
    except metadata.PackageNotFoundError:  # run from its folder, never installed
        return "0.1.0"


def _cluster(read: dict[str, Any]) -> Iterator[Metric]:
    stats, places = read["stats"], read["places"]
    yield from _totals(stats)
    edits = GaugeMetricFamily("retouch_edits", "Unfinished edits now.", labels=["status"])
    for status, number in {
        "queued": read["queued"],
        "submitting": places["submit"] + places["adopt"],
        "processing": places["poll"],
        "storing": places["store"],
    }.items():
        edits.add_metric([status], number)
    yield edits
    yield _gauge(
        "retouch_oldest_waiting_seconds", "How long the oldest in the queue has waited.", max(0.0, read["oldest"])
    )
    yield _gauge(
        "retouch_unknown_submits", "Creates whose answer was lost and whose task is looked for.", places["adopt"]
    )
    shut = "1 while Redis may lack what was written last and nothing that was queued is bought."
    yield _gauge("retouch_submitting_shut", shut, float(read["shut"]))
    text = "Paid tasks of edits that this Redis does not know, as it was set back."
    yield _gauge("retouch_unknown_paid_tasks", text, read["unknown"])
    yield _waits(stats)
    yield _histogram("retouch_notice_lag_seconds", "From the end of a task to our noticing it.", stats, "notice_lag")
    yield from _limits(read)
    yield _outages(read)
    chains = GaugeMetricFamily(
        "retouch_chains_alive", "Chains that run: one for each step of each living worker process.", labels=["step"]
    )
    for step, alive in read["chains"].items():
        chains.add_metric([step], alive)
    yield chains


def _totals(stats: dict[str, int]) -> Iterator[Metric]:
    for name, text, counter in (
        ("retouch_edits_accepted", "Edits accepted.", "accepted"),
        ("retouch_provider_tasks_bought", "Tasks bought at the provider.", "bought"),
        ("retouch_spend_units", "Provider units spent; 10,000,000 are a dollar.", "spent"),
    ):
        yield CounterMetricFamily(name, text, value=stats.get(counter, 0))
    ended = CounterMetricFamily("retouch_edits_ended", "Edits that ended.", labels=["status", "kind"])
    for name, number in stats.items():
        if name.startswith("ended:"):
            _, status, kind = name.split(":")
            ended.add_metric([status, kind], number)
    yield ended
    requests = CounterMetricFamily(
        "retouch_provider_requests", "Requests to the provider.", labels=["operation", "outcome"]
    )
    for name, number in stats.items():
        if name.startswith("request:"):
            _, operation, outcome = name.split(":")
            requests.add_metric([operation, outcome], number)
    yield requests


def _waits(stats: dict[str, int]) -> Metric:
    family = HistogramMetricFamily("retouch_wait_seconds", "What edits waited for.", labels=["wait"])
    for wait in sorted({name.split(":")[1] for name in stats if name.startswith("wait:")}):
        buckets, total = _buckets(stats, f"wait:{wait}")
        family.add_metric([wait], buckets, total)
    return family


def _histogram(name: str, text: str, stats: dict[str, int], counter: str) -> Metric:
    family = HistogramMetricFamily(name, text, labels=[])
    buckets, total = _buckets(stats, counter)
    family.add_metric([], buckets, total)
    return family


def _buckets(stats: dict[str, int], counter: str) -> tuple[list[tuple[str, float]], float]:
    """Cumulative buckets in seconds, and the sum."""
    seen, buckets = 0, []
    for limit in WAIT_BUCKETS:
        seen += stats.get(f"{counter}:{limit}", 0)
        buckets.append((str(limit / 1000), float(seen)))
    buckets.append(("+Inf", float(seen + stats.get(f"{counter}:inf", 0))))
    return buckets, stats.get(f"{counter}:sum", 0) / 1000


def _limits(read: dict[str, Any]) -> Iterator[Metric]:
    places, why = read["places"], read["gate"].get("why")
    in_flight = places["submit"] + places["adopt"] + places["poll"] + places["abandoned"]
    cap = read["ceilings"].get("max_in_flight")
    used = GaugeMetricFamily("retouch_limit_used_ratio", "Share of a limit that is used now.", labels=["limit"])
    if cap:
        used.add_metric(["max_in_flight"], in_flight / cap)
    for limit, ratio in read.get("room", {}).items():
        used.add_metric([limit], ratio)
    yield used
    binding = GaugeMetricFamily("retouch_limit_binding", "1 for the limit that holds the queue back.", labels=["limit"])
    binding.add_metric(["max_in_flight"], float(why == "in_flight_cap"))
    binding.add_metric(["creates_per_second"], float(why == "rate_limit"))
    yield binding


def _outages(read: dict[str, Any]) -> Metric:
    family = GaugeMetricFamily("retouch_circuit_open", "1 while an operation does not work.", labels=["operation"])
    for operation, half in read["outages"].items():
        family.add_metric([operation], float(half == "1"))
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
