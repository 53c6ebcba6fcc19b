"""Designs are measured in turns, so that a slow minute of the machine meets all of them; what counts are medians."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from statistics import median
from typing import Any

Design = Callable[[], Coroutine[Any, Any, Mapping[str, float]]]


def interleaved(designs: Mapping[str, Design], *, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Each design once a round; of each figure the median, the least and the most."""
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in designs}
    for number in range(1, rounds + 1):
        for name, design in designs.items():
            began = time.monotonic()
            found[name].append(asyncio.run(design()))
            say(f"round {number} of {rounds}: {name}, {time.monotonic() - began:.0f} s")
    return {name: summed(figures) for name, figures in found.items()}


def summed(figures: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    names = figures[0].keys()
    return {name: spread([round_of[name] for round_of in figures]) for name in names}


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "least": min(values), "most": max(values)}


def goal(text: str, found: float, *, most: float | None = None, least: float | None = None) -> dict[str, Any]:
    """A goal as the tables show it. One that is missed is told, and nothing fails."""
    met = (most is None or found <= most) and (least is None or found >= least)
    return {"goal": text, "found": round(found, 4), "met": "yes" if met else "NO"}


def say(text: str) -> None:
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()
