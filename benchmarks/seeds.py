"""Are the goals of pacing met by the pacing, or by the seed? `python -m benchmarks.seeds [NUMBER]` asks others."""

import sys
from statistics import fmean, pstdev
from typing import Any, Final

from rich.console import Console

from benchmarks import pacing, page
from benchmarks.looking import cost, run
from benchmarks.rounds import say
from benchmarks.schedules import Learned
from benchmarks.shapes import SHAPES, Shape

FIRST: Final = 1000  # none of them was looked at while the constants were chosen
NUMBER: Final = 24


def goals(seed: int) -> list[dict[str, Any]]:
    curves = {shape.name: {"learned": [_row(shape, knob, seed) for knob in (1.0, 4.0)]} for shape in SHAPES}
    return pacing.goals({"curves": curves, **pacing.beside(seed=seed)})


def _row(shape: Shape, knob: float, seed: int) -> dict[str, float]:
    tasks = shape.tasks(pacing.WARM + pacing.counted(shape), seed=seed)
    return pacing.row(shape, knob, cost(run(Learned(stretch=knob), tasks)[pacing.WARM :]))


def summed(each: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    rows = []
    for same in zip(*each, strict=True):
        found = [goal["found"] for goal in same]
        met = sum(goal["met"] == "yes" for goal in same)
        rows.append(
            {"goal": same[0]["goal"], "mean": fmean(found), "spread": pstdev(found), "least": min(found),
             "most": max(found), "met by": f"{met} of {len(found)}"}
        )  # fmt: skip
    return rows


def main() -> None:
    each = []
    for seed in range(FIRST, FIRST + (int(sys.argv[1]) if sys.argv[1:] else NUMBER)):
        each.append(goals(seed))
        say(f"seed {seed}: missed {[goal['goal'] for goal in each[-1] if goal['met'] != 'yes']}")
    Console(soft_wrap=True).print(page.on_screen("The goals of pacing, over seeds", summed(each)))


if __name__ == "__main__":
    main()
