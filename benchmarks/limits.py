"""Question: how much of the provider's limits is used, by however many processes? None may be passed.

The stand-in keeps the limits as a provider's front does and counts what it refuses. Tasks take half a minute and reads
are few, so that creates are what the processes are busy with.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

from benchmarks.cells import CAP, CLOSED_FOR, Cell, Row
from benchmarks.rounds import goal

PROCESSES: Final = (1, 4, 8)
RATES: Final = (5.0, 50.0, 300.0)

SHORT: Final = (
    Cell(1, 300.0, "steady", 8),
    Cell(8, 5.0, "steady", 16),
    Cell(4, 50.0, "half restarted", 10),
    Cell(8, 300.0, "half restarted", 8),
    Cell(4, 5.0, "no burst", 14),
    Cell(4, 50.0, "refused", 0),
    Cell(4, float(CAP), "cap", 8),
)
"""The corners of the matrix, and each other case once."""

WHOLE: Final = (
    *(Cell(each, rate, "half restarted" if each > 1 else "steady", 20) for each, rate in product(PROCESSES, RATES)),
    *(Cell(each, rate, "no burst", 15) for each, rate in product(PROCESSES, RATES)),
    *(Cell(each, rate, "refused", 0) for each, rate in product(PROCESSES, RATES[1:])),
    *(Cell(each, float(CAP), "cap", 20) for each in PROCESSES),
)


def measure(*, full: bool = False) -> dict[str, Any]:
    return _asked(WHOLE if full else SHORT)


def measure_only(name: str) -> dict[str, Any]:
    """One cell, of either table. Raises LookupError, which names them all."""
    cells = {cell.name: cell for cell in (*WHOLE, *SHORT)}
    if name not in cells:
        raise LookupError(f"no cell {name!r}; there are {', '.join(sorted(cells))}")
    return _asked([cells[name]])


def _asked(cells: Sequence[Cell]) -> dict[str, Any]:
    found: dict[str, list[Row]] = {"rates": [], "refusals": [], "caps": []}
    for cell in cells:
        found[{"refused": "refusals", "cap": "caps"}.get(cell.kind, "rates")] += asyncio.run(cell.measured())
    return {**found, "goals": _goals(**found)}


def _goals(rates: Sequence[Row], refusals: Sequence[Row], caps: Sequence[Row]) -> list[Row]:
    goals = []
    for row in rates:
        name = f"{row['processes']} processes, {row['creates/s']:g}/s, {row['what']}"
        no_burst = row["what"] == "no burst"
        if no_burst and row["creates/s"] > RATES[0]:
            continue  # told in the table
        goals.append(
            goal(f"used ≥ {0.9 if no_burst else 0.98:.0%}: {name}", row["used"], least=0.9 if no_burst else 0.98)
        )
        goals.append(goal(f"none refused: {name}", row["refused"], most=0))
    for row in refusals:
        name = f"{row['processes']} processes, {row['creates/s']:g}/s"
        goals.append(goal(f"one probe an interval, s: {name}", row["least s between probes"], least=0.9))
        goals.append(goal(f"95 % again within 10 s: {name}", row["95 % again after, s"], most=10))
    goals += [goal(f"cap in flight never passed: {row['processes']} processes", row["passed"], most=0) for row in caps]
    return goals


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """Those that were asked for."""
    shown = [{**row, "used": f"{row['used']:.1%}", "creates/s": f"{row['creates/s']:g}"} for row in found["rates"]]
    asked = (
        ("Share of the provider's rate that is used; its bucket holds 0.1 s of it, at least 2 tokens", shown),
        (f"Every create refused for {CLOSED_FOR:g} s", found["refusals"]),
        ("Tasks in flight, by the provider's own count", found["caps"]),
        ("Goals", found["goals"]),
    )
    yield from ((title, rows) for title, rows in asked if rows)


def picture(found: Mapping[str, Any], figure: Any) -> None:
    axes = figure.subplots()
    rows = found["rates"][::-1]
    names = [f"{row['processes']} processes, {row['creates/s']:g}/s, {row['what']}" for row in rows]
    axes.barh(names, [row["used"] * 100 for row in rows], color="#c0563c")
    axes.axvline(98, color="#444", linewidth=0.8, linestyle="--")
    for place, row in enumerate(rows):
        axes.text(1, place, f"{row['refused']} refused", va="center", color="white", fontsize=8)
    axes.set_xlabel("% of the provider's rate used (dashed: the goal of 98)")
