"""A lost tail of Redis: what was bought since its last mark is looked for in the provider's history, and taken.

Until a reading that can be trusted has been taken over completely, nothing that was queued is bought (_served.lua).
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from edits.errors import Unavailable
from edits.freshness import Completeness, Freshness
from edits.models import from_ms, made_at
from edits.restoring import Doubt, Restoring
from edits.scripting import ScriptError
from qubico import errors
from workers.clients import Clients
from workers.history import CLOCKS, History, Incomplete, Unreadable
from workers.matching import Asked, Verdict, Wanted, compare

log = structlog.get_logger()

LOOKS_EVERY: Final = 5.0  # seconds between two looks, while submitting is shut
LEASE: Final = timedelta(seconds=30)
UNREADABLE_FOR: Final = timedelta(minutes=5)  # after the quiet period
NOT_TOLD: Final = (
    "Redis was set back, and since then a task was bought that asks for the same and does not say for which edit."
)


@dataclass(slots=True)
class Restored:
    """Settles the doubt, one process at a time. That a task exists is a fact: taking it twice changes nothing."""

    clients: Clients
    history: History
    restoring: Restoring = field(init=False)
    looking: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        repository, process = self.clients.repository, self.clients.schedule.process
        self.restoring = Restoring(repository.redis, repository.namespace, repository.scripts, process)

    def start(self) -> None:
        """Looks, beside the step's own work; one look at a time."""
        if self.looking is None or self.looking.done():
            self.looking = asyncio.create_task(self._guarded())

    async def look(self) -> None:
        """One reading of the history, and what follows from it. Raises Incomplete, ScriptError, Unavailable."""
        doubt = await self.restoring.claim(lease=LEASE)
        if doubt is None:
            return
        try:
            history = await self._read(doubt)
        except Unreadable:
            if self._long_quiet(doubt) and not await self.restoring.queued(doubt):  # nothing that could be bought twice
                await self._open(doubt)
            raise
        taken = await self._take(doubt)
        log.info("restored.looked", mark=doubt.mark, taken=taken, sure=self._sure(doubt, history))
        if self._sure(doubt, history) and await self._doubtful_given_up(doubt):
            await self._open(doubt)

    async def _guarded(self) -> None:
        try:
            await self.look()
        except (Incomplete, ScriptError, Unavailable, errors.QubicoError) as exc:
            log.warning("restored.not_looked", cause=type(exc).__name__, detail=str(exc)[:200])

    async def _read(self, doubt: Doubt) -> Completeness:
        """The lease is renewed as long as the reading takes, so that no other process begins one of its own."""
        reading_it = asyncio.create_task(self.history.look(from_ms(doubt.mark)))
        while not (await asyncio.wait({reading_it}, timeout=LEASE.total_seconds() / 3))[0]:
            with contextlib.suppress(ScriptError):
                await self.restoring.claim(lease=LEASE)
        return reading_it.result()

    def _sure(self, doubt: Doubt, history: Completeness) -> bool:
        """Begun after the quiet period, and to be trusted with the last create that was claimed before the doubt."""
        quiet = _ms(self.clients.settings.qubico.unknown_quiet_period)
        return history.began >= doubt.shut + quiet and history.covers(self._last_arrival(doubt))

    def _last_arrival(self, doubt: Doubt) -> int:
        """When a create that was claimed before the doubt could have reached the provider at the latest."""
        leases = self.clients.settings.leases
        return doubt.shut + _ms(leases.send_window + leases.create_timeout)

    def _long_quiet(self, doubt: Doubt) -> bool:
        return doubt.now > doubt.shut + _ms(self.clients.settings.qubico.unknown_quiet_period + UNREADABLE_FOR)

    async def _take(self, doubt: Doubt) -> int:
        """Hands every task of ours that no edit has to its edit; returns how many were taken."""
        ours = {task_id: sighting.attempt for task_id, sighting in self.history.seen.items() if sighting.attempt}
        taken = 0
        for task_id in await Freshness(self.clients.repository.scripts).unowned(list(ours)):
            attempt = ours[task_id]
            outcome = await self.clients.outcomes.bought(
                attempt.edit_id,
                attempt=attempt.number,
                task_id=task_id,
                how="history",
            )
            if outcome != "missing":
                taken += 1
                log.info("restored.taken", edit_id=attempt.edit_id, task_id=task_id, outcome=outcome)
            elif made_at(attempt.edit_id) < from_ms(doubt.mark) - CLOCKS:
                continue  # it had ended and left Redis before
            elif await self.restoring.unknown(task_id, attempt.edit_id):
                log.warning("restored.unknown_edit", edit_id=attempt.edit_id, task_id=task_id)
        return taken

    async def _doubtful_given_up(self, doubt: Doubt) -> bool:
        """Tasks that name nobody may be ours: queued edits that ask for the same are not bought again.

        False if a task does not show what it asks for: then it may be anybody's.
        """
        tasks = await self.history.silent()
        queued = await self.restoring.queued(doubt) if tasks else {}
        earliest, latest = from_ms(doubt.mark) - CLOCKS, from_ms(self._last_arrival(doubt)) + CLOCKS
        for task in tasks if queued else ():
            if task.created_at is not None and not earliest <= task.created_at <= latest:
                continue
            if task.asked.prompt is None and task.asked.seed is None:
                log.warning("restored.undecidable", task_id=task.task_id)
                return False
            for edit_id, asked in queued.items():
                wanted = Wanted(Asked.by_edit(asked, ""), earliest=earliest, latest=latest)
                if compare(wanted, task) is not Verdict.OTHER:
                    await self.restoring.give_up(edit_id, NOT_TOLD)
                    log.warning("restored.given_up", edit_id=edit_id, task_id=task.task_id)
        return True

    async def _open(self, doubt: Doubt) -> None:
        if await self.restoring.open(doubt):
            self.clients.schedule.shut = False
            log.info("restored.settled", mark=doubt.mark, shut=doubt.shut)


def _ms(delta: timedelta) -> int:
    return round(delta.total_seconds() * 1000)
