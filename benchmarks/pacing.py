"""Question: how late is an end noticed, for how many reads? A seeded simulation over the product's own `edits.pacing`.

A schedule is asked as the worker asks it: for the first look, then after each look that found the task unfinished.
"""

import heapq
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import Any, Final

from benchmarks.colours import OURS
from benchmarks.rounds import goal
from benchmarks.schedules import Backoff, Fixed, FixedAfterFirst, Learned, Schedule
from benchmarks.shapes import SHAPES, STEADY, Shape, Task
from edits import pacing

WARM: Final = 400  # tasks that are not counted
TASKS: Final = 1000
SEED: Final = 11


@dataclass(frozen=True, slots=True)
class Cost:
    """Means over tasks; lags in seconds."""

    reads: float
    lag: float
    p50: float
    p99: float


def asked(schedule: Schedule, task: Task) -> tuple[int, float]:
    """Reads until the end was seen, and how late."""
    age, reads = schedule.look(0.0, None), 1
    while age < task.whole:
        age += schedule.look(age, age - task.wait if age >= task.wait else None)
        reads += 1
    return reads, age - task.whole


def run(schedule: Schedule, tasks: Sequence[Task]) -> list[tuple[int, float]]:
    found = []
    for task in tasks:
        found.append(asked(schedule, task))
        schedule.ended(task, called_back=False)
    return found


def cost(found: Iterable[tuple[int, float]]) -> Cost:
    reads, lags = zip(*found, strict=True)
    cuts = quantiles(lags, n=100)
    return Cost(fmean(reads), fmean(lags), cuts[49], cuts[98])


SCHEDULES: Final[dict[str, tuple[Callable[[float], Schedule], tuple[float, ...]]]] = {
    "learned": (lambda knob: Learned(stretch=knob), (0.5, 1.0, 2.0, 4.0)),
    "fixed": (Fixed, (0.5, 1.0, 2.0, 4.0, 8.0)),
    "fixed after a learned first wait": (FixedAfterFirst, (0.5, 1.0, 2.0, 4.0, 8.0)),
    "back-off": (Backoff, (0.25, 0.5, 1.0, 2.0)),
}


def curves(shape: Shape) -> dict[str, list[dict[str, float]]]:
    """Reads against lag, for each schedule at several settings of its knob."""
    tasks = shape.tasks(WARM + TASKS, seed=SEED)
    return {
        name: [_row(shape, knob, cost(run(make(knob), tasks)[WARM:])) for knob in knobs]
        for name, (make, knobs) in SCHEDULES.items()
    }


def _row(shape: Shape, knob: float, of: Cost) -> dict[str, float]:
    floor = shape.floor(of.lag)
    return {
        "knob": knob, "reads": of.reads, "lag": of.lag, "lag_p50": of.p50, "lag_p99": of.p99,
        "floor_reads": floor, "times_floor": of.reads / floor,
    }  # fmt: skip


def shift() -> list[dict[str, float]]:
    """Runs of 30 ± 3 s become 45 ± 4.5 s, and back: reads and lag in windows of 50 tasks after the shift."""
    chance, schedule, rows = random.Random(SEED), Learned(), []
    before = [Task(1.5, chance.gauss(30, 3)) for _ in range(WARM)]
    slower = [Task(1.5, chance.gauss(45, 4.5)) for _ in range(400)]
    faster = [Task(1.5, chance.gauss(30, 3)) for _ in range(400)]
    found = run(schedule, [*before, *slower, *faster])
    for first in range(WARM - 100, len(found) - 49, 50):
        part = cost(found[first : first + 50])
        rows.append({"task": first - WARM, "reads": part.reads, "lag": part.lag})
    return rows


def called_back(lost: float) -> dict[str, float]:
    """Callbacks come 50 ms after the end, except so many that are lost."""
    chance, schedule, found = random.Random(SEED), Learned(), []
    for task in STEADY.tasks(WARM + TASKS, seed=SEED):
        told = chance.random() >= lost
        reads, lag = asked(schedule, task)
        found.append((_before_the_end(schedule, task) + 1, 0.05) if told else (reads, lag))
        schedule.ended(task, called_back=told)
    part = cost(found[WARM:])
    return {"lost": lost, "reads": part.reads, "lag": part.lag, "lag_p50": part.p50, "lag_p99": part.p99}


def _before_the_end(schedule: Schedule, task: Task) -> int:
    return asked(schedule, task)[0] - 1


def short_of_reads(share: float, *, seconds: float = 400.0, rate: float = 20.0) -> dict[str, float]:
    """All tasks of a system of `rate` edits a second share a budget: this share of the reads that it would ask for.

    The budget grants a read each so many seconds, to whichever task is due the longest, as the claim does.
    """
    tasks = STEADY.tasks(round(rate * seconds), seed=SEED)
    schedule = Learned()
    run(schedule, STEADY.tasks(WARM, seed=SEED + 1))
    wanted = cost(run(Learned(seen=list(schedule.seen)), tasks[:TASKS])).reads * rate
    gap = 1 / (wanted * share)
    due = [(i / rate + schedule.look(0.0, None), i) for i in range(len(tasks))]
    heapq.heapify(due)
    now, reads, since, found, lags = 0.0, [0] * len(tasks), 0.0, 0, []
    while due:
        now = max(now + gap, due[0][0])
        late = now - due[0][0]
        if now - since > 0.2:
            schedule.stretch, since = pacing.stretch(schedule.stretch, late=late, elapsed=now - since), now
        _, i = heapq.heappop(due)
        reads[i] += 1
        age, task = now - i / rate, tasks[i]
        if age >= task.whole:
            lags.append((i, age - task.whole))
            found += 1
        else:
            heapq.heappush(due, (now + schedule.look(age, age - task.wait if age >= task.wait else None), i))
    steady = [lag for i, lag in lags if len(tasks) // 2 < i < len(tasks) * 0.9]
    cuts = quantiles(steady, n=100)
    return {
        "share": share, "reads_allowed": wanted * share / rate, "reads": sum(reads) / len(tasks),
        "lag": fmean(steady), "lag_p50": cuts[49], "lag_p99": cuts[98],
    }  # fmt: skip


def measure(*, full: bool = False) -> dict[str, Any]:
    found = {
        "curves": {shape.name: curves(shape) for shape in SHAPES},
        "shift": shift(),
        "callbacks": [called_back(lost) for lost in (0.0, 0.02, 0.2, 1.0)],
        "budget": [short_of_reads(share) for share in (2.0, 0.8, 0.5, 0.25)],
    }
    return {**found, "goals": _goals(found)}


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for shape, curves_of in found["curves"].items():
        rows = [{"schedule": name, **row} for name, points in curves_of.items() for row in points]
        yield f"Reads an edit against lag (s), {shape}", rows
    yield "30 s become 45 s after task 0, and 30 s again after task 400", found["shift"]
    yield "With callbacks, some of them lost", found["callbacks"]
    yield "With a share of the reads that would be asked for", found["budget"]
    yield "Goals", found["goals"]


def page(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The schedules as they are first tried; the picture has the whole curves."""
    shapes = [
        {"tasks take": shape, **_beside(curves_of, "learned", "learned")}
        | _beside(curves_of, "fixed", "fixed 1 s")
        | _beside(curves_of, "fixed after a learned first wait", "first wait, then 1 s")
        for shape, curves_of in found["curves"].items()
    ]
    yield "Reads an edit (times the floor of theory at the same lag), at which mean lag", shapes
    yield from list(tables(found))[len(found["curves"]) :]


def _beside(curves_of: Mapping[str, Any], name: str, heading: str) -> dict[str, str]:
    row = next(row for row in curves_of[name] if row["knob"] == 1.0)
    return {heading: f"{row['reads']:.1f} ({row['times_floor']:.2f} x), {row['lag']:.2f} s"}


def headline(found: Mapping[str, Any]) -> str:
    learned, fixed = (
        next(row for row in found["curves"][STEADY.name][name] if row["knob"] == 1.0) for name in ("learned", "fixed")
    )
    return (
        f"On tasks of {STEADY.name} an end is noticed {learned['lag']:.1f} s late on average for "
        f"{learned['reads']:.1f} reads; reading every second takes {fixed['reads']:.0f} (simulated)."
    )


def _goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    learned = {shape: points["learned"] for shape, points in found["curves"].items()}
    plain = next(row for row in learned[STEADY.name] if row["knob"] == 1.0)
    told = found["callbacks"][0]
    return [
        goal("reads ≤ 1.3 x the floor at equal mean lag, the worst shape", _worst(learned, knob=1.0), most=1.3),
        goal("the same with a quarter of the reads (knob 4)", _worst(learned, knob=4.0), most=1.3),
        goal(f"{STEADY.name}: reads ≤ 6.5", plain["reads"], most=6.5),
        goal(f"{STEADY.name}: mean lag ≤ 0.6 s", plain["lag"], most=0.6),
        goal(f"{STEADY.name}: lag p99 ≤ 2 s", plain["lag_p99"], most=2.0),
        goal("a budget of half the reads is never passed, as a share of it", _budget_used(found), most=1.05),
        goal("200 edits after a shift, reads x lag as a multiple of before", _after_shift(found["shift"]), most=1.3),
        goal("with callbacks: reads ≤ 1.2", told["reads"], most=1.2),
        goal("with callbacks: lag p50 ≤ 0.1 s", told["lag_p50"], most=0.1),
    ]


def _worst(learned: Mapping[str, Any], *, knob: float) -> float:
    return float(max(row["times_floor"] for points in learned.values() for row in points if row["knob"] == knob))


def _budget_used(found: Mapping[str, Any]) -> float:
    half = next(row for row in found["budget"] if row["share"] == 0.5)
    return float(half["reads"] / half["reads_allowed"])


def _after_shift(rows: Sequence[Mapping[str, float]]) -> float:
    """Lag is measured against the run, which is half as long again for 400 tasks."""
    before = fmean(row["reads"] * row["lag"] for row in rows if row["task"] < 0)
    slower = fmean(row["reads"] * row["lag"] / 1.5 for row in rows if 200 <= row["task"] < 400)
    faster = fmean(row["reads"] * row["lag"] for row in rows if row["task"] >= 600)
    return max(slower, faster) / before


def picture(found: Mapping[str, Any], figure: Any) -> None:
    """Reads against lag, a panel for each shape."""
    figure.set_size_inches(9, 6)
    *panels, last = figure.subplots(2, 3).flat
    for axes, (shape, curves_of) in zip(panels, found["curves"].items(), strict=True):
        for name, points in curves_of.items():
            ours = {"color": OURS, "lw": 2, "zorder": 3} if name == "learned" else {}
            axes.plot(
                [row["lag"] for row in points], [row["reads"] for row in points], marker="o", ms=3, label=name, **ours
            )
        axes.plot(*_floor_line(curves_of), color="#222", ls=":", lw=1.5, label="floor of theory")
        axes.set(title=shape, xscale="log", yscale="log", xlabel="mean lag, s", ylabel="reads an edit")
        axes.set_xticks([0.3, 1, 3, 10], labels=["0.3", "1", "3", "10"])
        axes.set_yticks([1, 3, 10, 30, 100], labels=["1", "3", "10", "30", "100"])
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.2)
    last.axis("off")
    last.legend(*axes.get_legend_handles_labels(), loc="center", frameon=False)


def _floor_line(curves_of: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """The floor falls as one over the lag, so one point of it gives the others."""
    rows = [row for points in curves_of.values() for row in points]
    product = (rows[0]["floor_reads"] - 0.5) * rows[0]["lag"]
    lags = sorted(row["lag"] for row in rows)
    return lags, [product / lag + 0.5 for lag in lags]
