"""Question: how much of the provider's limits is used, by however many processes? None may be passed.

The stand-in keeps the limits as a provider's front does and counts what it refuses. Tasks take half a minute and reads
are few, so that creates are what the processes are busy with.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

from benchmarks.cells import CAP, CLOSED_FOR, Cell, Row
from benchmarks.colours import GOAL, OURS
from benchmarks.rounds import goal

PROCESSES: Final = (1, 4, 8)
RATES: Final = (5.0, 50.0, 300.0)

SHORT: Final = (
    Cell(1, 300.0, "steady", 8),
    Cell(8, 5.0, "steady", 12),
    Cell(4, 50.0, "half restarted", 8),
    Cell(8, 300.0, "half restarted", 8),
    Cell(4, 5.0, "no burst", 12),
    Cell(4, 50.0, "refused", 0),
    Cell(4, float(CAP), "cap", 8),
)
"""The corners of the matrix, and each other case once."""

WHOLE: Final = (
    *(Cell(each, rate, "half restarted" if each > 1 else "steady", 14) for each, rate in product(PROCESSES, RATES)),
    *(Cell(each, rate, "no burst", 16) for each, rate in product(PROCESSES[::2], RATES)),
    *(Cell(each, rate, "refused", 0) for each, rate in product(PROCESSES[::2], RATES[1:])),
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
        if least := _least(row):
            goals.append(goal(f"used ≥ {least:.0%}: {_case(row)}", row["used"], least=least))
            goals.append(goal(f"none refused: {_case(row)}", row["refused"], most=0))
    for row in refusals:
        name = _case(row)
        goals.append(goal(f"one probe an interval, s: {name}", row["least s between probes"], least=0.9))
        goals.append(goal(f"95 % again within 10 s: {name}", row["95 % again after, s"], most=10))
    goals += [goal(f"cap in flight never passed: {_case(row)}", row["passed"], most=0) for row in caps]
    return goals


def _least(row: Row) -> float | None:
    """The share that is to be used; None: there is no goal, and the table tells."""
    if row["what"] != "no burst":
        return 0.98
    return 0.9 if row["creates/s"] <= RATES[0] else None


def _case(row: Row) -> str:
    processes = f"{row['processes']} process{'es' if row['processes'] > 1 else ''}"
    rate = f"{row['creates/s']:g}/s" if "creates/s" in row else None
    return ", ".join(filter(None, (processes, rate, row.get("what"))))


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
    rows = found["rates"][::-1]
    figure.set_size_inches(9, max(4.5, 0.3 * len(rows)))
    axes = figure.subplots()
    axes.barh([_case(row) for row in rows], [row["used"] * 100 for row in rows], color=OURS)
    for place, row in enumerate(rows):
        axes.text(1, place, f"{row['refused']} refused", va="center", color="white", fontsize=8)
        if least := _least(row):
            axes.plot([least * 100, least * 100], [place - 0.48, place + 0.48], **GOAL)
    axes.set_xlabel("% of the provider's rate used; dashed: the goal")
