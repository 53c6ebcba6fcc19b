"""Prometheus metrics. Those of the cluster are counted in Redis by the script that changes the state, so all agree."""

import heapq
import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from itertools import accumulate, islice
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

PLACES: Final = ("submit", "adopt", "poll", "store")

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
    pipe.time()
    pipe.mget(Key.CLOCK.of(ns), Key.TICK.of(ns), Key.QUEUED.of(ns))
    workers.ask(pipe, ns)
    for place in PLACES:
        pipe.zcard(Key.DUE.of(ns, place))
    for operation in OPERATIONS:
        pipe.hget(Key.LIMIT.of(ns, operation), "half")
    pipe.hgetall(Key.STATS.of(ns))
    pipe.zcard(Key.ABANDONED.of(ns))
    pipe.zrange(Key.TENANTS.of(ns), 0, -1)
    pipe.exists(Key.DOUBT.of(ns))
    pipe.zcard(Key.UNKNOWN.of(ns))
    pipe.hgetall(Key.CEILINGS.of(ns))
    pipe.hget(Key.GATE.of(ns), "why")
    async with answering():
        server, (*kept, queued), *answers = await pipe.execute()
        rest = iter(answers)
        now = clock.reckon(server, *kept)
        registered, places, half = ([*islice(rest, size)] for size in (workers.ASKED, len(PLACES), len(OPERATIONS)))
        stats, abandoned, tenants, doubt, unknown, ceilings, gate = rest
        oldest = await _oldest(repository, tenants)
    return {
        "stats": {name: int(value) for name, value in stats.items()},
        "places": dict(zip(PLACES, places, strict=True)) | {"abandoned": abandoned},
        "queued": max(0, int(queued or 0)),
        "oldest": 0.0 if oldest is None else max(0.0, (now - oldest) / 1000),
        "chains": workers.workers_of(registered, now=now).on,
        "outages": {operation: float(one == "1") for operation, one in zip(OPERATIONS, half, strict=True)},
        "max_in_flight": float(ceilings.get("max_in_flight", 0)),
        "gate": gate,
        "shut": float(doubt),
        "unknown": unknown,
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
    state = await admission.memory.look()
    ratios = {"max_queued": queued / admission.max_queued}
    return ratios | ({"redis_memory": state.used / state.cap} if state and state.cap else {})


def _process(admission: Admission | None) -> Iterator[Metric]:
    info = GaugeMetricFamily("retouch_build_info", "What runs here.", labels=["version", "record_format", "python"])
    info.add_metric([_version(), str(FORMAT), platform.python_version()], 1)
    yield info
    if admission is not None:
        numbers: dict[tuple[str, ...], int] = {
            (code,): admission.refused[code] for code in ("queue_full", "tenant_queue_full")
        }
        yield _counters("retouch_edits_refused", "Edits refused for want of room.", ["code"], numbers)


def _version() -> str:
    try:
        return metadata.version("retouch")
    except metadata.PackageNotFoundError:  # run from its folder, never installed
        return "0.1.0"


def _cluster(read: dict[str, Any]) -> Iterator[Metric]:
    stats, places = read["stats"], read["places"]
    yield from _totals(stats)
    numbers = {
        "queued": read["queued"], "submitting": places["submit"] + places["adopt"],
        "processing": places["poll"], "storing": places["store"],
    }  # fmt: skip
    yield _gauges("retouch_edits", "Unfinished edits now.", "status", numbers)
    for name, text, value in (
        ("retouch_oldest_waiting_seconds", "How long the oldest in the queue has waited.", read["oldest"]),
        ("retouch_unknown_submits", "Creates without an answer whose task is searched for.", places["adopt"]),
        ("retouch_submitting_shut", "1 while Redis may lack its last writes, so that nothing is bought.", read["shut"]),
        ("retouch_unknown_paid_tasks", "Paid tasks of edits that this Redis lost.", read["unknown"]),
    ):
        yield GaugeMetricFamily(name, text, value=value)
    waits = sorted({name.split(":")[1] for name in stats if name.startswith("wait:")})
    counters = {wait: f"wait:{wait}" for wait in waits}
    yield _histogram("retouch_wait_seconds", "What edits waited for.", ["wait"], stats, counters)
    text = "From the end of a task to our noticing it."
    yield _histogram("retouch_notice_lag_seconds", text, [], stats, {"": "notice_lag"})
    yield from _limits(read)
    yield _gauges("retouch_circuit_open", "1 while an operation does not work.", "operation", read["outages"])
    text = "Chains that run: one for each step of each living worker process."
    yield _gauges("retouch_chains_alive", text, "step", read["chains"])


def _totals(stats: dict[str, int]) -> Iterator[Metric]:
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
        yield _counters(name, text, labels, counted)


def _limits(read: dict[str, Any]) -> Iterator[Metric]:
    places, cap = read["places"], read["max_in_flight"]
    in_flight = places["submit"] + places["adopt"] + places["poll"] + places["abandoned"]
    ratios = ({"max_in_flight": in_flight / cap} if cap else {}) | read.get("room", {})
    yield _gauges("retouch_limit_used_ratio", "Share of a limit that is used now.", "limit", ratios)
    reasons = {"max_in_flight": "in_flight_cap", "creates_per_second": "rate_limit"}
    binding = {limit: float(read["gate"] == why) for limit, why in reasons.items()}
    yield _gauges("retouch_limit_binding", "1 for the limit that holds the queue back.", "limit", binding)


def _gauges(name: str, text: str, label: str, numbers: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in numbers.items():
        family.add_metric([value], number)
    return family


def _counters(name: str, text: str, labels: list[str], numbers: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, number in numbers.items():
        family.add_metric(values, number)
    return family


def _histogram(name: str, text: str, labels: list[str], stats: dict[str, int], counters: dict[str, str]) -> Metric:
    """`counters`: value of the label → the counter whose buckets the scripts count."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for value, counter in counters.items():
        below = accumulate(stats.get(f"{counter}:{limit}", 0) for limit in (*WAIT_BUCKETS, "inf"))
        names = (*(str(limit / 1000) for limit in WAIT_BUCKETS), "+Inf")
        buckets = [(name, float(number)) for name, number in zip(names, below, strict=True)]
        family.add_metric([value] if labels else [], buckets, stats.get(f"{counter}:sum", 0) / 1000)
    return family
