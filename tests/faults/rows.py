"""One row a fault: the fault and its cost. Rows are files, so an interrupted soak can continue."""

import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path(os.environ.get("RETOUCH_TEST_ROWS") or Path(__file__).resolve().parents[2] / "var" / "soak")
HEADS = ("fault", "how", "edits", "dose", "lost", "failed", "bought twice", "back after", "repeat")


@dataclass
class Row:
    name: str
    fault: str
    how: str
    seed: int
    edits: int = 0
    dose: str = ""  # kills, seconds, messages …
    lost: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    bought_twice: int = 0
    spoiled: int = 0  # results that are not what was promised
    recovered: float | None = None  # seconds from the fault's end to the first edit that succeeds
    took: float = 0.0
    held: bool = False  # all that must hold did

    @property
    def repeat(self) -> str:
        return f'make soak ARGS="-k {self.name}"'

    def write(self) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{self.name}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")


def kept(name: str) -> Row | None:
    """What an earlier run has left of this scenario."""
    try:
        return Row(**json.loads((FOLDER / f"{name}.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def every() -> Iterator[Row]:
    for path in sorted(FOLDER.glob("*.json")):
        if (row := kept(path.stem)) is not None:
            yield row


def cells(row: Row) -> list[str]:
    """As `HEADS` names them."""
    failed = ", ".join(f"{count} {kind}" for kind, count in row.failed.items()) or "0"
    back = "-" if row.recovered is None else f"{row.recovered:.1f} s"
    fault = row.fault if row.held else f"{row.fault} (DID NOT HOLD)"
    numbers = [str(row.edits), row.dose, str(row.lost), failed, str(row.bought_twice), back]
    return [fault, row.how, *numbers, f"-k {row.name}"]


def show() -> str:
    """The table of all rows that are kept."""
    table = Table(*HEADS, title=f"rows in {FOLDER}; make soak ARGS=… repeats one")
    for row in every():
        table.add_row(*cells(row))
    text = io.StringIO()
    Console(width=180, file=text).print(table)
    return text.getvalue()


def markdown() -> str:
    """The same, for docs/reliability.md."""
    lines = [HEADS, ["---"] * len(HEADS), *([*cells(row)[:-1], f"`{row.repeat}`"] for row in every())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(markdown())
