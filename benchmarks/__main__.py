"""`make bench`: each question is measured beside its baselines, shown as a table and kept as JSON in `results/`."""

import argparse
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import pacing

RESULTS: Final = Path(__file__).parent / "results"
QUESTIONS: Final = {"pacing": pacing}


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("questions", nargs="*", help=f"of {', '.join(QUESTIONS)}; all by default")
    names = asked.parse_args().questions or list(QUESTIONS)
    if unknown := set(names) - set(QUESTIONS):
        sys.exit(f"bench: no question {', '.join(sorted(unknown))}; there are {', '.join(QUESTIONS)}")
    for name in names:
        found = QUESTIONS[name].measure()
        kept = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "python": platform.python_version(), **found}
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
        for title, rows in QUESTIONS[name].tables(found):
            Console(soft_wrap=True).print(_table(title, rows))


def _table(title: str, rows: Iterable[Mapping[str, Any]]) -> Table:
    shown = list(rows)
    table = Table(title=title, title_justify="left", box=None)
    for heading in shown[0]:
        table.add_column(heading, justify="left" if isinstance(shown[0][heading], str) else "right")
    for row in shown:
        table.add_row(*(f"{value:,.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    return table


if __name__ == "__main__":
    main()
