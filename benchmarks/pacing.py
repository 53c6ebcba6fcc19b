"""Question: how late is an end noticed, for how many reads? A seeded simulation over our own `edits.pacing`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import fmean
from typing import Any, Final

from benchmarks.page import OURS
from benchmarks.rounds import goal
from benchmarks.shapes import SHAPES, STEADY, Shape
from benchmarks.simulation import (
    Cost,
    Fixed,
    FixedAfterFirst,
    Learned,
    Schedule,
    called_back,
    cost,
    run,
    shift,
    short_of_reads,
)

WARM: Final = 400  # tasks that are not counted
TASKS: Final = 2000
MANY: Final = 10_000  # of the shape whose p99 is a goal: a hundred of them lie beyond it
SEED: Final = 11
SHARES: Final = (2.0, 0.8, 0.5, 0.25)  # of the reads that would be asked for

SCHEDULES: Final[dict[str, tuple[Callable[[float], Schedule], tuple[float, ...]]]] = {
    "learned": (lambda knob: Learned(throttle=knob), (0.5, 1.0, 2.0, 4.0)),
    "fixed": (Fixed, (0.5, 1.0, 2.0, 4.0, 8.0)),
    "fixed after a learned first wait": (FixedAfterFirst, (0.5, 1.0, 2.0, 4.0, 8.0)),
}


def curves(shape: Shape, *, seed: int) -> dict[str, list[dict[str, float]]]:
    """Reads against lag, for each schedule at several settings of its knob."""
    tasks = shape.tasks(WARM + counted(shape), seed=seed)
    return {
        name: [row(shape, knob, cost(run(make(knob), tasks)[WARM:])) for knob in knobs]
        for name, (make, knobs) in SCHEDULES.items()
    }


def _curves_of(shape: int) -> dict[str, list[dict[str, float]]]:
    """By its number: what a shape draws from cannot be sent to another process."""
    return curves(SHAPES[shape], seed=SEED)


def counted(shape: Shape) -> int:
    return MANY if shape is STEADY else TASKS


def row(shape: Shape, knob: float, of: Cost) -> dict[str, float]:
    floor = shape.floor(of.lag)
    return {
        "knob": knob, "reads": of.reads, "lag": of.lag, "lag_p50": of.p50, "lag_p99": of.p99,
        "floor_reads": floor, "times_floor": of.reads / floor,
    }  # fmt: skip


def measure(*, full: bool = False) -> dict[str, Any]:
    with ProcessPoolExecutor() as pool:  # pure and seeded: however many processes find the same
        rest, each = pool.submit(beside, seed=SEED), pool.map(_curves_of, range(len(SHAPES)))
        found = {"curves": {shape.name: points for shape, points in zip(SHAPES, each, strict=True)}, **rest.result()}
    return {**found, "goals": goals(found)}


def beside(*, seed: int) -> dict[str, Any]:
    """What is asked of the product's own schedule alone."""
    return {
        "shift": shift(warm=WARM, seed=seed),
        "callbacks": [called_back(lost, warm=WARM, tasks=TASKS, seed=seed) for lost in (0.0, 0.02, 0.2, 1.0)],
        "budget": [short_of_reads(share, warm=WARM, seed=seed) for share in SHARES],
    }


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The schedules as they are first tried; the picture has the whole curves."""
    shapes = [
        {"tasks take": shape, **_beside(curves_of, "learned", "learned")}
        | _beside(curves_of, "fixed", "fixed 1 s")
        | _beside(curves_of, "fixed after a learned first wait", "first wait, then 1 s")
        for shape, curves_of in found["curves"].items()
    ]
    yield "Reads an edit (times the floor of theory at the same lag), at which mean lag", shapes
    yield "30 s become 45 s after task 0, and 30 s again after task 400", found["shift"]
    yield "With callbacks, some of them lost", found["callbacks"]
    yield "With a share of the reads that would be asked for", found["budget"]
    yield "Goals", found["goals"]


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


def goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    learned = {shape: points["learned"] for shape, points in found["curves"].items()}
    plain = next(row for row in learned[STEADY.name] if row["knob"] == 1.0)
    told, short = found["callbacks"][0], {row["share"]: row for row in found["budget"]}
    return [
        goal("reads ≤ 1.3 x the floor at equal mean lag, the worst shape", _worst(learned, knob=1.0), most=1.3),
        goal("the same with a quarter of the reads (knob 4)", _worst(learned, knob=4.0), most=1.3),
        goal(f"{STEADY.name}: reads ≤ 6.5", plain["reads"], most=6.5),
        goal(f"{STEADY.name}: mean lag ≤ 0.6 s", plain["lag"], most=0.6),
        goal(f"{STEADY.name}: lag p99 ≤ 2 s", plain["lag_p99"], most=2.0),
        *(
            goal(f"a budget of {name} the reads: {text}", value, most=most)
            for name, row in (("half", short[0.5]), ("a quarter of", short[0.25]))
            for text, value, most in (
                ("never passed, as a share of it", round(row["reads"] / row["reads_allowed"], 6), 1.0),
                ("reads ≤ 1.3 x the floor at equal mean lag", row["times_floor"], 1.3),
                ("lag grows evenly, any 20 s ≤ 1.5 x the mean", row["lag_most"] / row["lag"], 1.5),
            )
        ),
        goal("200 edits after a shift, reads x lag as a multiple of before", _after_shift(found["shift"]), most=1.3),
        goal("with callbacks: reads ≤ 1.2", told["reads"], most=1.2),
        goal("with callbacks: lag p50 ≤ 0.1 s", told["lag_p50"], most=0.1),
    ]


def _worst(learned: Mapping[str, Any], *, knob: float) -> float:
    return float(max(row["times_floor"] for points in learned.values() for row in points if row["knob"] == knob))


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
