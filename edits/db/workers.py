"""The worker registry: which worker processes live, the steps that each consumes, and the ceilings it was given.

A process lives while its heartbeats come; `lua/heartbeat.lua` writes what they say, and forgets the dead.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from edits.ceilings import Ceilings
from edits.db.clock import ms
from edits.db.constants import SERVERS
from edits.db.scripts import Script, parsed
from edits.db.sender import Scripts
from edits.models import Step

HEARTBEAT: Final = timedelta(seconds=2)
LIVES: Final = timedelta(seconds=7)  # a process without a heartbeat for so long is dead: three heartbeats and a margin

_HEARTBEAT: Final[Script[dict[str, Any]]] = Script("heartbeat", parsed)


@dataclass(frozen=True, slots=True)
class Workers:
    """How many processes live, how many of them work on each step, and the ceilings they were given."""

    processes: int
    on: dict[Step, int]
    ceilings: dict[str, tuple[float, ...]]  # each value once, lowest first


def workers_of(alive: Sequence[Sequence[str]]) -> Workers:
    """From the words that each living process registered (heartbeat.lua)."""
    values: dict[str, set[float]] = {}
    for name, _, value in (word.partition("=") for words in alive for word in words if "=" in word):
        values.setdefault(name, set()).add(float(value))
    return Workers(
        processes=len(alive),
        on={step: sum(step in words for words in alive) for step in Step},
        ceilings={name: tuple(sorted(given)) for name, given in values.items()},
    )


@dataclass(slots=True)
class WorkerRegistry:
    """One process's entry, and what it knows of the servers that its data had (`lua/_served.lua`)."""

    scripts: Scripts
    ceilings: Ceilings
    process: str = field(default_factory=lambda: uuid4().hex)
    beats: int = 0
    untold: Counter[str] = field(default_factory=Counter)  # what the last beat counts, until it has its answer
    told: list[dict[str, Any]] = field(default_factory=list)  # servers and numbers, the last first
    shut: bool = False  # the data may lack what was written last

    async def heartbeat(self, steps: list[Step], *, counts: Counter[str] | None = None, leave: bool = False) -> None:
        """Registers this process, or takes it out (`leave`).

        `counts`: what it has counted since; what is sent is taken out of it. A heartbeat without an answer may have
        been counted: it is sent again as it was, and newer counts go with the next one.
        """
        counts = Counter() if counts is None else counts
        if not self.untold:
            self.beats += 1
            self.untold = +counts  # without those that are zero
        answer = await self.scripts.run(
            _HEARTBEAT,
            process=self.process,
            steps=steps,
            ttl=ms(LIVES),
            ceilings=self.ceilings.by_name(),
            beat=self.beats,
            counts=dict(self.untold),
            leave=int(leave),
            told=self.told,
        )
        counts -= self.untold
        self.untold = Counter()
        self.heard(answer)
        self.shut = answer["shut"] == 1
        self.told = self.told if self.shut else self.told[:1]

    def heard(self, answer: dict[str, Any]) -> None:
        """Answers come in the order in which Redis gave them, so the last one counts, be its number lower or not."""
        before = [pair for pair in self.told if pair["run"] != answer["run"]][: SERVERS - 1]
        self.told = [{"run": answer["run"], "n": answer["n"]}, *before]
