"""`make bench`: measures each question beside its baselines, shows tables, and writes JSON, pictures and the page.

`python -m benchmarks [QUESTION …] [--full] [--tables]`: all questions by default; `--full` takes more and longer
rounds; `--tables` measures nothing, draws the stored results and writes their tables into `docs/performance.md`.
"""

import argparse
import json
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks import machine, page
from benchmarks.page import QUESTIONS
from benchmarks.rounds import say

RESULTS: Final = Path(__file__).parent / "results"


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("questions", nargs="*", help=f"of {', '.join(QUESTIONS)}; all by default")
    asked.add_argument("--full", action="store_true", help="more and longer rounds")
    asked.add_argument("--tables", action="store_true", help="only draw what is kept and write docs/performance.md")
    given = asked.parse_args()
    names = given.questions or list(QUESTIONS)
    if unknown := set(names) - set(QUESTIONS):
        sys.exit(f"bench: no question {', '.join(sorted(unknown))}; there are {', '.join(QUESTIONS)}")
    began = time.monotonic()
    broken = [] if given.tables else [name for name in names if not _answered(name, full=given.full)]
    page.draw_all(RESULTS)
    page.write(RESULTS)
    if not given.tables:
        say(f"all of it: {time.monotonic() - began:.0f} s")
    if broken:
        sys.exit(f"bench: could not be measured: {', '.join(broken)}")


def _answered(name: str, *, full: bool) -> bool:
    """Whether it could be measured and shown; a goal that is missed is an answer, too."""
    question, began = QUESTIONS[name](), time.monotonic()
    say(f"{name}: {(question.__doc__ or '').splitlines()[0]}")
    before = machine.machine()
    try:
        found = question.measure(full=full)
        kept: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "full": full,
            "seconds": round(time.monotonic() - began, 1),
            "machine": before,
            **found,
        }
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        for title, rows in question.tables(kept):
            Console(soft_wrap=True).print(page.on_screen(title, rows))
    except Exception:  # noqa: BLE001 - the questions after it are asked all the same
        traceback.print_exc()
        return False
    return True


if __name__ == "__main__":
    main()
