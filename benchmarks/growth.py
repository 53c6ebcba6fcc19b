"""Question: what do more worker processes bring? And what binds first, on one host, on two, with a Redis that is slow.

A burst of edits that each need two reads and one picture of 256 KiB. Then the same with a Redis that is far away, one
on a slow disk, and a second host. What cannot be had on a machine is left out by name.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, Final

import psutil

from benchmarks import hosts
from benchmarks.hosts import Impossible
from benchmarks.provider import Provider
from benchmarks.rounds import goal, say, summed
from benchmarks.system import System, running, used_by
from cli.supervisor import Supervisor

PROCESSES: Final = (1, 2, 4, 8)
TOGETHER: Final = 2  # processes, of each of the other cases
WARM: Final = 60  # edits that are not counted: the pace is learned from them
WITHIN: Final = 240.0  # seconds for a burst to end
FULL: Final = 0.9  # of a core, or of all of them: that is what binds
DELAY_MS: Final = 2.0
FSYNC_MS: Final = 3.0

Case = Callable[[int], Coroutine[Any, Any, dict[str, float]]]


def measure(*, full: bool) -> dict[str, Any]:
    edits, rounds = (4000, 3) if full else (500, 1)
    cases: dict[str, Case] = {_name(number): partial(_burst, number) for number in PROCESSES}
    cases |= {
        f"{TOGETHER}, Redis {DELAY_MS:g} ms away": _far,
        f"{TOGETHER}, an fsync takes {FSYNC_MS:g} ms": _slow,
        f"{TOGETHER}, on two hosts": _two_hosts,
    }
    found: dict[str, list[dict[str, float]]] = {}
    left_out: dict[str, str] = {}
    for number in range(1, rounds + 1):
        for name, case in cases.items():
            if name in left_out:
                continue
            try:
                found.setdefault(name, []).append(asyncio.run(case(edits)))
            except Impossible as exc:
                left_out[name] = str(exc)
                say(f"left out: {name}: {exc}")
            else:
                say(f"round {number} of {rounds}: {name}: {found[name][-1]['rate']:.0f} edits a second")
    figures = {name: summed(of) for name, of in found.items()}
    return {"edits": edits, "rounds": rounds, "figures": figures, "left_out": left_out, "goals": _goals(figures)}


def _name(processes: int) -> str:
    return f"{processes} process{'es' if processes > 1 else ''}"


async def _burst(processes: int, edits: int, *, redis: tuple[str, Supervisor] | None = None) -> dict[str, float]:
    settings = {"RETOUCH_REDIS_URL": redis[0]} if redis else None
    async with running(_provider(), workers=processes, settings=settings) as system:
        return await _measured(system, edits, beside=redis[1] if redis else None)


async def _far(edits: int) -> dict[str, float]:
    async with hosts.far_redis(delay_ms=DELAY_MS) as redis:
        return await _burst(TOGETHER, edits, redis=redis)


async def _slow(edits: int) -> dict[str, float]:
    async with hosts.slow_disk(fsync_ms=FSYNC_MS) as redis:
        return await _burst(TOGETHER, edits, redis=redis)


async def _two_hosts(edits: int) -> dict[str, float]:
    async with running(_provider(), workers=TOGETHER - 1) as system, hosts.second_host(system) as other:
        return await _measured(system, edits, beside=other)


def _provider() -> Provider:
    return Provider(reads=2, speed=60.0)


async def _measured(system: System, edits: int, *, beside: Supervisor | None) -> dict[str, float]:
    """`beside` keeps parts that belong to the system, too."""
    await system.accept(WARM)
    await system.until_ended(WARM, within=WITHIN)
    write_ms = await _write(system)
    before, busy, began = await _spent(system, beside), _busy(), time.monotonic()
    await system.accept(edits)
    await system.until_ended(WARM + edits, within=WITHIN)
    seconds = time.monotonic() - began
    spent = {name: seen - before.get(name, 0.0) for name, seen in (await _spent(system, beside)).items()}
    workers = len(system.pids()) + sum(name.startswith("worker") for name in (beside.pids() if beside else ()))
    return {
        "rate": edits / seconds,
        "worker_ms": spent["worker"] / edits * 1000,
        "valkey_ms": spent["valkey"] / edits * 1000,
        "worker_share": spent["worker"] / workers / seconds,
        "valkey_share": spent["valkey"] / seconds,
        "machine_share": (_busy() - busy) / seconds / (os.cpu_count() or 1),
        "write_ms": write_ms,
    }


async def _spent(system: System, beside: Supervisor | None) -> dict[str, float]:
    spent = dict((await system.used()).cpu)
    for part, pid in beside.pids().items() if beside else ():
        name = part.rstrip("0123456789")
        spent[name] = spent.get(name, 0.0) + used_by(pid)[0]
    return spent


async def _write(system: System) -> float:
    """Ms that one write takes, the median of some: what a case does to Redis, as it is seen from here."""
    took = []
    for _ in range(21):
        began = time.perf_counter()
        await system.redis.set("bench:write", "1", px=1000)
        took.append(time.perf_counter() - began)
    return sorted(took)[len(took) // 2] * 1000


def _busy() -> float:
    """Seconds of CPU that the machine has worked, whoever for."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + getattr(times, "softirq", 0.0) + getattr(times, "irq", 0.0))


def binds(figures: Mapping[str, float]) -> str:
    """What was used up first, by the shares of a round: of a core, or of all of them."""
    if figures["valkey_share"] >= FULL:
        return "Redis: its core"
    if figures["machine_share"] >= FULL:
        return "the machine: all its cores"
    if figures["worker_share"] >= FULL:
        return "the workers: a core each"
    return "waiting for answers"


def _medians(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: spread["median"] for name, spread in figures.items()}


def _goals(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    one, most = figures[_name(1)], figures[_name(PROCESSES[-1])]
    flat = most["worker_ms"]["median"] / one["worker_ms"]["median"]
    return [
        goal(f"CPU an edit of the workers with {PROCESSES[-1]} processes, times that with one, at most", flat, most=1.3)
    ]


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "Growth: goals", found["goals"]
    one = found["figures"][_name(1)]["rate"]["median"]
    rows = []
    for name, figures in found["figures"].items():
        median = _medians(figures)
        rows.append(
            {
                "processes": name,
                "times one": median["rate"] / one,
                "edits a second": round(median["rate"]),
                "workers, CPU ms an edit": median["worker_ms"],
                "Redis, CPU ms an edit": median["valkey_ms"],
                "a worker, of a core": median["worker_share"],
                "Redis, of a core": median["valkey_share"],
                "the machine": median["machine_share"],
                "a write, ms": median["write_ms"],
                "binds first": binds(median),
            }
        )
    yield f"Growth: bursts of {found['edits']} edits, all parts and the provider on one machine", rows
    if found["left_out"]:
        yield "Growth: left out", [{"case": name, "why": why} for name, why in found["left_out"].items()]


def picture(found: Mapping[str, Any], figure: Any) -> None:
    names = list(found["figures"])
    for place, (figure_name, label) in enumerate(
        (("rate", "edits a second"), ("worker_ms", "CPU of the workers, ms an edit"))
    ):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.barh(names, [found["figures"][name][figure_name]["median"] for name in names])
        axes.invert_yaxis()
        axes.set_xlabel(label)
        if place:
            axes.set_yticklabels([])
