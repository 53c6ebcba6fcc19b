"""Measures the lag of the provider's history by our own tasks: one that it does not show yet makes it incomplete.

All moments are milliseconds by the clock of Redis: the provider's may be ahead or behind, so its times are not used.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from edits.db.clock import ms
from edits.db.scripts import Script
from edits.db.sender import Scripts

REMEMBERED: Final = timedelta(hours=1)
_LIFE: Final = ms(REMEMBERED)
MOST_OF_EACH: Final = 200  # tasks read in each due-set, newest first
CAUTION: Final = 3  # a create counts as shown after three times the measured lag


@dataclass(frozen=True, slots=True)
class Known:
    """Our tasks and when their creates were claimed, as of `now`."""

    now: int
    tasks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Completeness:
    """What a complete reading of the history, begun at `began`, proves.

    `until`: every create that could have reached the provider before this moment is shown. `lag`: milliseconds by
    which tasks of the last hour were late, None if none says so: then only a task bought later can vouch for a create.
    """

    began: int
    until: int
    lag: int | None

    def covers(self, moment: int) -> bool:
        """Whether a create that reached the provider at this moment at the latest would be shown."""
        return moment < self.until

    def would_cover(self, moment: int, *, begun: int) -> bool:
        """Whether a reading begun at that time would cover the moment, if the lag stays as it was."""
        return self.lag is not None and moment < begun - CAUTION * self.lag


def _known(reply: str) -> Known:
    answer = json.loads(reply)
    return Known(now=answer["now"], tasks=dict(answer["tasks"] or []))


_KNOWN: Final = Script("known", _known)
_OWNERS: Final[Script[list[str]]] = Script("owners", list)
_SCANNED: Final[Script[tuple[int, int]]] = Script("scanned", tuple)  # the least and the most lag, ms; -1: none


@dataclass(frozen=True, slots=True)
class Freshness:
    scripts: Scripts

    async def known(self) -> Known:
        """Call it before the first page is asked for."""
        return await self.scripts.run(_KNOWN, life=_LIFE, most=MOST_OF_EACH)

    async def without_edit(self, tasks: Sequence[str]) -> list[str]:
        """The tasks without a known edit."""
        owners = await self.scripts.run(_OWNERS, tasks=list(tasks))
        return [task for task, owner in zip(tasks, owners, strict=True) if not owner]

    async def judge(self, known: Known, listed: Collection[str], *, since: int) -> Completeness:
        """What the history proves: read to its end after `known`, it listed these tasks.

        `since`: tasks claimed from then on are in it, whatever the provider's clock says. A task bought later vouches
        for every create before it, and so does time: thrice the lag of the last hour. But a known task that is missing
        shows a hole, and beyond the first hole nothing is sure.
        """
        there = {task: claimed for task, claimed in known.tasks.items() if task in listed}
        holes = {task: at for task, at in known.tasks.items() if task not in listed and at >= since}
        least, most = await self.scripts.run(
            _SCANNED,
            began=known.now,
            shown=known.now - max(there.values()) if there else None,
            missing=known.now - min(holes.values()) if holes else None,
            life=_LIFE,
        )
        lag = max(least, most) if least >= 0 else None
        vouched = [max(there.values(), default=0)]
        if lag is not None and there:  # a reading that shows nothing of ours may be one of something else
            vouched.append(known.now - CAUTION * lag)
        return Completeness(began=known.now, until=min([max(vouched), *holes.values()]), lag=lag)
