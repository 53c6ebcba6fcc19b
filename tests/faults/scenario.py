"""A scenario: a real system processes edits, a fault is made, and at the end all promises are checked.

One code for small runs in `make test` and long ones in `make soak`; `RETOUCH_TEST_SEED` repeats a run.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import system
from tests.faults.rows import Row
from tests.faults.system import System, Verdict

SOAK = os.environ.get("RETOUCH_TEST_SOAK") == "1"
SIZES = {"edits": "RETOUCH_TEST_EDITS", "kills": "RETOUCH_TEST_KILLS", "seconds": "RETOUCH_TEST_SECONDS"}


class Scenario:
    """Named after its test, so that `-k` with the name repeats it."""

    def __init__(self, name: str, folder: Path) -> None:
        seed = int(os.environ.get("RETOUCH_TEST_SEED") or random.SystemRandom().randrange(2**32))
        print(f"RETOUCH_TEST_SEED={seed}")
        self.chance = random.Random(f"{seed} {name}")
        self.row = Row(name=name, fault=name.replace("_", " "), how="", seed=seed)
        self._folder = folder
        self._began = time.monotonic()

    def is_(self, fault: str, *, how: str) -> None:
        """Names the fault and how it is made, for the table of results."""
        self.row.fault, self.row.how = fault, how

    def size(self, what: str, *, test: int, soak: int) -> int:
        """Number of edits, kills or seconds, in a test or a soak; the environment may set it for a soak."""
        chosen = os.environ.get(SIZES[what]) if SOAK else None
        return int(chosen) if chosen else (soak if SOAK else test)

    @contextmanager
    def system(self, **settings: str) -> Iterator[System]:
        with system.running(self._folder, **settings) as running:
            yield running

    def judge(self, running: System, *, may_fail: frozenset[str] = frozenset(), within: float = 300.0) -> Verdict:
        """Waits until all edits have ended, fills the row, and asserts the promises.

        `may_fail`: error kinds that are allowed under this fault.
        """
        running.until_ended(within=within, leap=not SOAK)
        verdict = running.judge()
        row = self.row
        row.edits, row.lost, row.failed = len(running.accepted), len(verdict.lost), dict(verdict.failed)
        row.bought_twice, row.spoiled, row.recovered = verdict.bought_twice, len(verdict.spoiled), verdict.recovered
        row.took = round(time.monotonic() - self._began, 1)
        row.held = (
            not verdict.lost
            and not verdict.bought_twice
            and not verdict.spoiled
            and not verdict.broken
            and verdict.failed.keys() <= may_fail
            and (verdict.recovered is not None or not running.was_at_fault)
        )
        print(row)
        if SOAK:
            row.write()
        assert row.held, f"{row}\n{verdict}"
        return verdict
