"""How answers are shown: tables on the screen, the same tables in `docs/performance.md`, and one picture a question."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from benchmarks import machine
from benchmarks.questions import QUESTIONS
from cli.commands import ROOT

PAGE: Final = ROOT / "docs" / "performance.md"
_PLACE: Final = re.compile(r"(<!-- tables of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

Row = Mapping[str, Any]


def on_screen(title: str, rows: Iterable[Row]) -> Table:
    shown = list(rows)
    table = Table(title=title, title_justify="left", box=None)
    for heading in shown[0]:
        table.add_column(heading, justify="left" if isinstance(shown[0][heading], str) else "right")
    for row in shown:
        table.add_row(*(_text(value) for value in row.values()))
    return table


def write(results: Path) -> None:
    """Puts the tables of what is kept between the marks of the page; what nobody measured stays as it is."""
    if not PAGE.exists():
        return
    text = PAGE.read_text()
    PAGE.write_text(_PLACE.sub(lambda place: place[1] + _kept(results, place[2], place[0]) + place[3], text))


def _kept(results: Path, name: str, before: str) -> str:
    path = results / f"{name}.json"
    if not path.exists() or name not in QUESTIONS:
        return "\n".join(before.splitlines()[1:-1]) + "\n"
    found = json.loads(path.read_text())
    parts = [_in_markdown(title, list(rows)) for title, rows in QUESTIONS[name]().tables(found)]
    return "\n" + "\n".join(parts) + f"\n<sub>{found['at'][:10]}, {machine.sentence(found['machine'])}</sub>\n\n"


def _in_markdown(title: str, rows: list[Row]) -> str:
    right = ["" if isinstance(value, str) else ":" for value in rows[0].values()]
    lines = [f"**{title}**", "", f"| {' | '.join(rows[0])} |", f"| {' | '.join(f'---{side}' for side in right)} |"]
    lines += [f"| {' | '.join(_text(value) for value in row.values())} |" for row in rows]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def draw(picture: Callable[[Mapping[str, Any], Any], None], found: Mapping[str, Any], path: Path) -> None:
    """As SVG whose text stays text, the same bytes for the same figures."""
    import matplotlib as mpl  # noqa: PLC0415 - heavy, and the tables need none of it

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "retouch", "font.size": 9})
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    picture(found, figure)
    figure.savefig(path, format="svg", metadata={"Date": None})
