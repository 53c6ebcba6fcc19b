"""How answers are shown: tables on the screen, the same in `docs/performance.md`, pictures, and figures in README."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from benchmarks import machine
from cli.local.programs import ROOT

PAGE: Final = ROOT / "docs" / "performance.md"
README: Final = ROOT / "README.md"
_PLACE: Final = re.compile(r"(<!-- tables of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_REST: Final = re.compile(r"(<!-- the other questions -->\n).*?(<!-- end -->)", re.DOTALL)
_HEADLINE: Final = re.compile(r"(<!-- measured -->\n).*?(<!-- end -->)", re.DOTALL)

Row = Mapping[str, Any]

_NAMES: Final = ("cpu", "redis", "pacing", "limits", "inflight", "accepting", "idle", "growth")
QUESTIONS: Final[dict[str, Callable[[], Any]]] = {name: partial(import_module, f"benchmarks.{name}") for name in _NAMES}
"""Modules that are imported on use. Each has `measure(*, full) -> dict` of JSON and `tables(found) -> (title, rows) …`,
and may have `picture(found, figure)` for matplotlib and `headline(found)` for README. Its first line is the question.
"""

OURS: Final = "#c0563c"
BESIDE: Final = "#8a939b"
GOAL: Final[dict[str, Any]] = {"color": "#222", "linewidth": 1, "linestyle": "--"}


def on_screen(title: str, rows: Iterable[Row]) -> Table:
    shown = list(rows)
    table = Table(title=title, title_justify="left", box=None)
    for heading in shown[0]:
        table.add_column(heading, justify="left" if isinstance(shown[0][heading], str) else "right")
    for row in shown:
        table.add_row(*(_text(value) for value in row.values()))
    return table


def write(results: Path, *, page: Path = PAGE, readme: Path = README) -> None:
    """Puts what is kept between the marks of the page: a question has its own place, or comes under the others."""
    text = page.read_text()
    placed = {place[2] for place in _PLACE.finditer(text)}
    rest = "".join(_section(results, name) for name in QUESTIONS if name not in placed)
    text = _PLACE.sub(lambda place: place[1] + _kept(results, place[2]) + place[3], text)
    page.write_text(_REST.sub(lambda place: place[1] + rest + place[2], text))
    if said := _headline(results):
        readme.write_text(_HEADLINE.sub(lambda place: f"{place[1]}{said}\n{place[2]}", readme.read_text()))


def _section(results: Path, name: str) -> str:
    kept, question = _kept(results, name), _asked(name)
    return f"\n## {question[:1].upper()}{question[1:]}\n{kept}" if kept else ""


def _asked(name: str) -> str:
    return (QUESTIONS[name]().__doc__ or name).splitlines()[0].removeprefix("Question: ")


def _kept(results: Path, name: str) -> str:
    """Its picture and tables."""
    path = results / f"{name}.json"
    if not path.exists() or name not in QUESTIONS:
        return ""
    found, question = json.loads(path.read_text()), QUESTIONS[name]()
    parts = [_in_markdown(title, list(rows)) for title, rows in question.tables(found)]
    if (results / f"{name}.svg").exists():
        parts.insert(0, f"![{_asked(name)}](../benchmarks/results/{name}.svg)\n")
    return "\n" + "\n".join(parts) + f"\n<sub>{_measured(found)}</sub>\n\n"


def _measured(found: Mapping[str, Any]) -> str:
    by = "`make bench-full`" if found["full"] else "`make bench`"
    return f"{found['at'][:10]} by {by}, {machine.sentence(found['machine'])}"


def _in_markdown(title: str, rows: list[Row]) -> str:
    right = ["" if isinstance(value, str) else ":" for value in rows[0].values()]
    lines = [f"**{title}**", "", f"| {' | '.join(rows[0])} |", f"| {' | '.join(f'---{side}' for side in right)} |"]
    lines += [f"| {' | '.join(_text(value) for value in row.values())} |" for row in rows]
    return "\n".join(lines) + "\n"


def _headline(results: Path) -> str:
    """What README says: each question's own sentence, of those that have one and were asked."""
    said = []
    for name in QUESTIONS:
        path = results / f"{name}.json"
        if path.exists() and hasattr(question := QUESTIONS[name](), "headline"):
            said.append(f"  - {question.headline(json.loads(path.read_text()))}")
    return "\n".join(said)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def draw_all(results: Path) -> None:
    for name in QUESTIONS:
        kept, question = results / f"{name}.json", QUESTIONS[name]()
        if kept.exists() and hasattr(question, "picture"):
            draw(question.picture, json.loads(kept.read_text()), results / f"{name}.svg")


def draw(picture: Callable[[Mapping[str, Any], Any], None], found: Mapping[str, Any], path: Path) -> None:
    """As SVG whose text stays text, the same bytes for the same figures."""
    import matplotlib as mpl  # noqa: PLC0415 - heavy, and the tables need none of it

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "retouch", "font.size": 9})
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.facecolor": "white"})
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    picture(found, figure)
    figure.savefig(path, format="svg", metadata={"Date": None})
