"""Question: what do more worker processes bring? And what binds first, on one host, on two, with a Redis that is slow.

A load is held (`steady`): so many edits are unfinished at any moment that there is always more to do than is done. Each
needs two reads and one picture of 256 KiB. What cannot be had on a machine is left out by name.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from benchmarks import hosts
from benchmarks.colours import OURS
from benchmarks.hosts import Impossible
from benchmarks.provider import Provider
from benchmarks.rounds import goal, say, summed
from benchmarks.steady import STEPS, Figures, Held
from benchmarks.system import running
from workers.permits import PERMITS

PROCESSES: Final = (1, 2, 4, 8)
UNFINISHED: Final = 300  # edits, and as many more for each process that has a core
SETTLED: Final = 6.0  # seconds, in which the pace is learned and every step has come to work
FULL: Final = 0.9  # of what there is: that is what binds
OTHERS: Final = 0.1  # of the machine: so much of it is worth telling
DELAY_MS: Final = 2.0
FSYNC_MS: Final = 3.0
PROVIDER: Final = Provider(reads=2, speed=60.0)
ORDER: Final = {
    "machine": "the machine: all its cores",
    "workers": "the workers: a core each",
    "redis": "Redis: its core",
    "disk": "Redis: its disk",
    "batch": "the way to Redis: full batches",
    **{f"permits: {step}": f"permits to {step}" for step in STEPS},
    "connections": "connections to the provider",
}
"""What may be used up, the cause before what follows from it: whoever waits for a core holds a permit meanwhile."""


SLOW: Final[dict[str, Callable[[], Any]]] = {
    f"Redis {DELAY_MS:g} ms away": partial(hosts.far_redis, delay_ms=DELAY_MS),
    f"an fsync takes {FSYNC_MS:g} ms": partial(hosts.slow_disk, fsync_ms=FSYNC_MS),
}
TWO_HOSTS: Final = "on two hosts"


@dataclass(frozen=True, slots=True)
class Case:
    processes: int
    slow: str = ""

    @property
    def name(self) -> str:
        return ", ".join(filter(None, (f"{self.processes} process{'es' if self.processes > 1 else ''}", self.slow)))

    async def held(self, seconds: float) -> Figures:
        """Raises Impossible."""
        settings, beside = {}, []
        async with AsyncExitStack() as ends:
            if self.slow in SLOW:
                settings["RETOUCH_REDIS_URL"], redis = await ends.enter_async_context(SLOW[self.slow]())
                beside.append(redis)
            here = self.processes - (self.slow == TWO_HOSTS)
            system = await ends.enter_async_context(running(PROVIDER, workers=here, settings=settings))
            if self.slow == TWO_HOSTS:
                beside.append(await ends.enter_async_context(hosts.second_host(system)))
            held = Held(system, beside)
            async with held.unfinished(UNFINISHED * (1 + min(self.processes, os.cpu_count() or 1))):
                await asyncio.sleep(SETTLED)
                return await held.over(seconds)


SHORT: Final = (*map(Case, PROCESSES), *(Case(1, slow) for slow in SLOW), Case(2, TWO_HOSTS))
WHOLE: Final = (*SHORT, *(Case(8, slow) for slow in SLOW))


def measure(*, full: bool) -> dict[str, Any]:
    cases, seconds, rounds = (WHOLE, 12.0, 1) if full else (SHORT, 6.0, 1)
    found: dict[str, list[Figures]] = {}
    left_out: dict[str, str] = {}
    for number, case in ((number, case) for number in range(1, rounds + 1) for case in cases):
        if case.name in left_out:
            continue
        try:
            seen = asyncio.run(case.held(seconds))
        except Impossible as exc:
            left_out[case.name] = str(exc)
            say(f"left out: {case.name}: {exc}")
        else:
            found.setdefault(case.name, []).append(seen)
            say(f"round {number} of {rounds}: {case.name}: {seen['rate']:.0f} edits a second, {binds(seen)}")
    figures = {name: summed(of) for name, of in found.items()}
    return {
        "seconds_each": seconds,
        "rounds": rounds,
        "figures": figures,
        "left_out": left_out,
        "goals": _goals(figures),
    }


def binds(figures: Mapping[str, float]) -> str:
    """What is used up; if nothing is, what comes closest to it."""
    found = next((name for name in ORDER if figures[name] >= FULL), None)
    if found is None:
        return _crowded(figures) or _most(figures)
    if found == "machine" and figures["others"] > OTHERS:
        return f"{ORDER[found]} ({figures['others']:.0%} by programs beside the benchmark)"
    step = found.partition(": ")[2]
    return ORDER[found] + (f", each held for {figures[f'held_ms: {step}']:.0f} ms" if step in STEPS else "")


def _crowded(figures: Mapping[str, float]) -> str | None:
    """The step that more edits wait for than its permits would take, though no permit is always in hand."""
    step = max(STEPS, key=lambda step: figures[f"waiting: {step}"] / PERMITS[step])
    waiting = figures[f"waiting: {step}"]
    if waiting < PERMITS[step] * figures["processes"]:
        return None
    return f"claims to {step}: {waiting:.0f} edits wait, {figures[f'permits: {step}']:.0%} of the permits are in hand"


def _most(figures: Mapping[str, float]) -> str:
    most = max(ORDER, key=lambda name: figures[name])
    return f"nothing is used up; most: {ORDER[most]}, {figures[most]:.0%}"


def _medians(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: spread["median"] for name, spread in figures.items()}


def _goals(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    one, most = figures[Case(1).name], figures[Case(PROCESSES[-1]).name]
    flat = most["worker_ms"]["median"] / one["worker_ms"]["median"]
    return [
        goal(f"CPU an edit of the workers with {PROCESSES[-1]} processes, times that with one, at most", flat, most=1.3)
    ]


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "Growth: goals", found["goals"]
    medians = {name: _medians(figures) for name, figures in found["figures"].items()}
    one = medians[Case(1).name]["rate"]
    yield (
        "Growth under a load that is held, all parts and the provider on one machine",
        [
            {
                "workers": name,
                "times one": of["rate"] / one,
                "edits a second": round(of["rate"]),
                "workers, CPU ms an edit": of["worker_ms"],
                "Redis, CPU ms an edit": of["redis_ms"],
                "a call of Redis, ms": of["call_ms"],
                "binds first": binds(of),
            }
            for name, of in medians.items()
        ],
    )
    yield "Growth: what is used, of what there is", [_used(name, of) for name, of in medians.items()]
    if found["left_out"]:
        yield "Growth: left out", [{"case": name, "why": why} for name, why in found["left_out"].items()]


def _used(name: str, of: Mapping[str, float]) -> dict[str, Any]:
    shares = {
        "a worker's core": "workers",
        "waits for a core": "in line",
        "all cores": "machine",
        "by others": "others",
        "Redis' core": "redis",
        "its disk": "disk",
        "a batch to it": "batch",
        **{f"permits to {step}": f"permits: {step}" for step in STEPS},
        "connections": "connections",
    }
    return {"workers": name} | {heading: f"{of[share]:.0%}" for heading, share in shares.items()}


def picture(found: Mapping[str, Any], figure: Any) -> None:
    names = list(found["figures"])
    figure.get_layout_engine().set(wspace=0.08)
    for place, (figure_name, label) in enumerate(
        (("rate", "edits a second"), ("worker_ms", "CPU of the workers, ms an edit"))
    ):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.barh(names, [found["figures"][name][figure_name]["median"] for name in names], color=OURS)
        axes.bar_label(axes.containers[-1], fmt="%.0f" if place == 0 else "%.1f", padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_xlabel(label)
        if place:
            axes.set_yticklabels([])
