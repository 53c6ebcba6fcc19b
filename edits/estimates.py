"""Estimates when an edit accepted now would end, from the queue and recent durations."""

from dataclasses import dataclass
from typing import Final

from edits import fairness
from edits.ceilings import Ceilings
from edits.db import clock
from edits.db.connection import answering
from edits.db.constants import WAIT_BUCKETS
from edits.db.keys import Key
from edits.db.repository import EditRepository
from edits.models import Priority, Wait

KNOWN_AFTER: Final = 10  # completed provider runs needed for an estimate

_AT_PROVIDER: Final = (Wait.SUBMIT, Wait.PROVIDER_QUEUE, Wait.PROVIDER_RUN, Wait.NOTICE)
_AFTER_QUEUE: Final = (*_AT_PROVIDER, Wait.COPY)

Counters = dict[str, int]


@dataclass(frozen=True, slots=True)
class Eta:
    """Seconds from now to the result, which half and nine tenths of such edits do not exceed."""

    p50: float
    p90: float


@dataclass(frozen=True, slots=True)
class Estimate:
    position: int  # in the queue of its tenant, from 1
    eta: Eta | None  # None while too few runs are known, or submission is paused


async def estimate(repository: EditRepository, *, tenant: str, priority: Priority, ceilings: Ceilings) -> Estimate:
    """`ceilings` are this process's own; lower ones of the cluster apply. Raises Unavailable."""
    ns = repository.namespace
    pipe = repository.redis.pipeline(transaction=False)
    pipe.time()
    pipe.mget(Key.CLOCK.of(ns), Key.TICK.of(ns))
    pipe.hgetall(Key.STATS.of(ns))
    pipe.hgetall(Key.CEILINGS.of(ns))
    pipe.hget(Key.GATE.of(ns), "blocked")
    pipe.zcard(Key.TENANTS.of(ns))
    async with answering():
        server, kept, stats, shared, blocked, tenants = await pipe.execute()
        arrival = clock.reckon(server, *kept) + fairness.arrival_shift(priority)
        before = await repository.redis.zcount(Key.QUEUE.of(ns, tenant), "-inf", arrival)
    counters = {name: int(value) for name, value in stats.items()}
    per_second = _per_second(counters, ceilings.lowered(shared))
    eta = None if blocked or per_second is None else _eta(counters, before * max(1, tenants) / per_second)
    return Estimate(position=before + 1, eta=eta)


def _per_second(counters: Counters, ceilings: Ceilings) -> float | None:
    """Edits a second that the lowest ceiling allows. None while too few runs are known."""
    if _seen(counters, Wait.PROVIDER_RUN) < KNOWN_AFTER:
        return None
    in_flight = sum(_mean(counters, wait) for wait in _AT_PROVIDER)
    return min(ceilings.creates_per_second, ceilings.max_in_flight / max(in_flight, 0.001))


def _eta(counters: Counters, in_queue: float) -> Eta:
    """Adds up the quantiles of each wait, which overestimates p90."""
    p50, p90 = (sum(quantile(counters, wait, share) for wait in _AFTER_QUEUE) for share in (0.5, 0.9))
    return Eta(in_queue + p50, in_queue + p90)


def quantile(counters: Counters, wait: Wait, share: float) -> float:
    """Seconds that `share` of these waits did not exceed, interpolated inside a bucket; 0 if there were none."""
    wanted, below, lower = _seen(counters, wait) * share, 0, 0
    for limit in WAIT_BUCKETS:
        inside = counters.get(f"wait:{wait}:{limit}", 0)
        if inside and below + inside >= wanted:
            return (lower + (limit - lower) * (wanted - below) / inside) / 1000
        below, lower = below + inside, limit
    return lower / 1000 if wanted else 0.0


def _seen(counters: Counters, wait: Wait) -> int:
    return sum(counters.get(f"wait:{wait}:{limit}", 0) for limit in (*WAIT_BUCKETS, "inf"))


def _mean(counters: Counters, wait: Wait) -> float:
    seen = _seen(counters, wait)
    return counters.get(f"wait:{wait}:sum", 0) / 1000 / seen if seen else 0.0
