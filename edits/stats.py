"""Prometheus metrics. Those of the cluster are counted in Redis by the script that changes the state, so all agree."""

import heapq
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from itertools import accumulate
from typing import Any, Final

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from edits import fairness
from edits.db import checks, clock
from edits.db.admission import Admission
from edits.db.circuits import OPERATIONS
from edits.db.connection import answering
from edits.db.constants import FORMAT, WAIT_BUCKETS
from edits.db.fields import Field
from edits.db.keys import Key
from edits.db.repository import EditRepository
from edits.models import Priority

Family = CounterMetricFamily | GaugeMetricFamily

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

PLACES: Final = ("submit", "adopt", "poll", "store")

LOOKED_THROUGH: Final = 20_000
"""Places of all queues together among which the oldest edit is looked for; beyond, only edits younger in line stand."""


@dataclass(frozen=True)
class _Read:
    """Figures that were read a moment ago, as prometheus_client collects them."""

    families: list[Metric]

    def collect(self) -> list[Metric]:
        return self.families


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
    return generate_latest(_Read(families))


async def _read(repository: EditRepository) -> dict[str, Any]:
    ns = repository.namespace
    pipe = repository.redis.pipeline(transaction=False)
    pipe.time()
    pipe.mget(Key.CLOCK.of(ns), Key.TICK.of(ns), Key.QUEUED.of(ns))
    pipe.hgetall(Key.STATS.of(ns))
    pipe.zrange(Key.TENANTS.of(ns), 0, -1)
    pipe.exists(Key.DOUBT.of(ns))
    pipe.hget(Key.CEILINGS.of(ns), "max_in_flight")
    pipe.hget(Key.GATE.of(ns), "why")
    for key in (Key.UNKNOWN.of(ns), Key.ABANDONED.of(ns), *(Key.DUE.of(ns, place) for place in PLACES)):
        pipe.zcard(key)
    async with answering():
        server, (ahead, tick, queued), stats, tenants, doubt, cap, gate, *sizes = await pipe.execute()
        oldest = await _oldest(repository, tenants)
    counts: dict[str, Any] = dict(zip(("unknown", "abandoned", *PLACES), sizes, strict=True))
    waited = 0 if oldest is None else clock.reckon(server, ahead, tick) - oldest
    outages = await repository.outages()
    return counts | {
        "stats": {name: int(value) for name, value in stats.items()},
        "queued": max(0, int(queued or 0)),
        "oldest": max(0.0, waited / 1000),
        "chains": (await checks.workers(repository.redis, ns)).on,
        "outages": {operation: float(operation in outages) for operation in OPERATIONS},
        "max_in_flight": float(cap or 0),
        "gate": gate,
        "shut": float(doubt),
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
    """How full the queue is, by limit."""
    used = await admission.memory_used()
    ratios = {"max_queued": queued / admission.max_queued}
    return ratios if used is None else ratios | {"redis_memory": used}


def _process(admission: Admission | None) -> Iterator[Metric]:
    info = GaugeMetricFamily("retouch_build_info", "What runs here.", labels=["version", "record_format", "python"])
    info.add_metric([_version(), str(FORMAT), platform.python_version()], 1)
    yield info
    if admission is not None:
        numbers = {code: admission.refused[code] for code in ("queue_full", "tenant_queue_full")}
        yield _filled(
            CounterMetricFamily("retouch_edits_refused", "Edits refused for want of room.", labels=["code"]), numbers
        )


def _version() -> str:
    try:
        return metadata.version("retouch")
    except metadata.PackageNotFoundError:  # run from its folder, never installed
        return "0.1.0"


def _cluster(read: dict[str, Any]) -> Iterator[Metric]:
    stats = read["stats"]
    for name, text, counter in (
        ("retouch_edits_accepted", "Edits accepted.", "accepted"),
        ("retouch_provider_tasks_bought", "Tasks bought at the provider.", "bought"),
        ("retouch_spend_units", "Provider units spent; 10,000,000 are a dollar.", "spent"),
    ):
        yield CounterMetricFamily(name, text, value=stats.get(counter, 0))
    for name, text, counter, labels in (
        ("retouch_edits_ended", "Edits that ended.", "ended", ["status", "kind"]),
        ("retouch_provider_requests", "Requests to the provider.", "request", ["operation", "outcome"]),
    ):
        counted = {tuple(field.split(":")[1:]): n for field, n in stats.items() if field.startswith(f"{counter}:")}
        yield _filled(CounterMetricFamily(name, text, labels=labels), counted)
    for name, text, value in (
        ("retouch_oldest_waiting_seconds", "How long the oldest in the queue has waited.", read["oldest"]),
        ("retouch_unknown_submits", "Creates without an answer whose task is searched for.", read["adopt"]),
        ("retouch_submitting_shut", "1 while Redis may lack its last writes, so that nothing is bought.", read["shut"]),
        ("retouch_unknown_paid_tasks", "Paid tasks of edits that this Redis lost.", read["unknown"]),
    ):
        yield GaugeMetricFamily(name, text, value=value)
    for name, text, label, numbers in _gauges(read):
        yield _filled(GaugeMetricFamily(name, text, labels=[label]), numbers)
    waits = {name.split(":")[1]: name.rpartition(":")[0] for name in sorted(stats) if name.startswith("wait:")}
    yield _histogram("retouch_wait_seconds", "What edits waited for.", ["wait"], stats, waits)
    text = "From the end of a task to our noticing it."
    yield _histogram("retouch_notice_lag_seconds", text, [], stats, {"": "notice_lag"})


def _gauges(read: dict[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, float]]]:
    """Name, text, label, and the value for each value of the label."""
    submitting = read["submit"] + read["adopt"]
    edits = {
        "queued": read["queued"], "submitting": submitting, "processing": read["poll"], "storing": read["store"],
    }  # fmt: skip
    yield "retouch_edits", "Unfinished edits now.", "status", edits
    cap, in_flight = read["max_in_flight"], submitting + read["poll"] + read["abandoned"]
    ratios = ({"max_in_flight": in_flight / cap} if cap else {}) | read.get("room", {})
    yield "retouch_limit_used_ratio", "Share of a limit that is used now.", "limit", ratios
    reasons = {"max_in_flight": "in_flight_cap", "creates_per_second": "rate_limit"}
    binding = {limit: float(read["gate"] == why) for limit, why in reasons.items()}
    yield "retouch_limit_binding", "1 for the limit that holds the queue back.", "limit", binding
    yield "retouch_circuit_open", "1 while an operation does not work.", "operation", read["outages"]
    text = "Chains that run: one for each step of each living worker process."
    yield "retouch_chains_alive", text, "step", read["chains"]


def _filled(family: Family, numbers: Mapping[Any, float]) -> Metric:
    """`numbers`: by the value of its label, or a tuple of them."""
    for values, number in numbers.items():
        family.add_metric(values if isinstance(values, tuple) else (values,), number)
    return family


def _histogram(name: str, text: str, labels: list[str], stats: dict[str, int], counters: dict[str, str]) -> Metric:
    """`counters`: value of the label → the counter whose buckets the scripts count."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for value, counter in counters.items():
        below = accumulate(float(stats.get(f"{counter}:{limit}", 0)) for limit in (*WAIT_BUCKETS, "inf"))
        buckets = list(zip((*(str(limit / 1000) for limit in WAIT_BUCKETS), "+Inf"), below, strict=True))
        family.add_metric([value] if labels else [], buckets, stats.get(f"{counter}:sum", 0) / 1000)
    return family
