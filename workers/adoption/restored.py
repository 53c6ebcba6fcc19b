"""Lost writes of Redis: finds purchases since its last mark in the provider's history and records them.

Until all of it is settled, window by window, by readings that can be trusted, nothing that was queued is bought
(_served.lua). The next process continues where the last one stopped.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from edits.db.clock import ms
from edits.db.freshness import REMEMBERED, Completeness
from edits.db.sender import ScriptError
from edits.errors import Unavailable
from edits.models import from_ms, made_at, to_ms
from edits.recovery.restoring import Doubt, Restoring
from qubico import errors
from workers.adoption.history import CLOCKS, History, Incomplete, Unreadable, Window, last_arrival
from workers.adoption.matching import Asked, Silent, Verdict, Wanted, compare
from workers.clients import Clients

log = structlog.get_logger()

LOOKS_EVERY: Final = 5.0  # seconds between two passes, while submission is paused
LEASE: Final = timedelta(seconds=30)
UNREADABLE_FOR: Final = timedelta(minutes=5)  # after the quiet period
NOT_TOLD: Final = (
    "Redis was set back, and since then a task was bought that asks for the same and does not say for which edit."
)


@dataclass(slots=True)
class Restored:
    """Ends the data-loss check, one process at a time. Recording a task twice changes nothing."""

    clients: Clients
    history: History
    restoring: Restoring = field(init=False)
    looking: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        repository, process = self.clients.repository, self.clients.registry.process
        self.restoring = Restoring(repository.redis, repository.namespace, repository.scripts, process)

    def start(self) -> None:
        """Starts a pass beside the step's own work; one at a time."""
        if self.looking is None or self.looking.done():
            self.looking = asyncio.create_task(self._guarded())

    async def look(self) -> None:
        """One pass through the history. Raises Incomplete, ScriptError, Unavailable.

        The lease is renewed meanwhile, so that no other process starts a pass.
        """
        doubt = await self.restoring.claim(lease=LEASE)
        if doubt is None:
            return
        passing = asyncio.create_task(self._pass(doubt))
        try:
            while not (await asyncio.wait({passing}, timeout=LEASE.total_seconds() / 3))[0]:
                with contextlib.suppress(ScriptError):
                    await self.restoring.claim(lease=LEASE)
        finally:
            passing.cancel()
        try:
            whole = passing.result()
        except Unreadable:
            quiet = self.clients.settings.qubico.unknown_quiet_period
            if doubt.now > doubt.shut + ms(quiet + UNREADABLE_FOR):
                await self._open(doubt, only_if_idle=True)  # no edit could be bought twice
            raise
        if whole:
            await self._open(doubt)

    async def _guarded(self) -> None:
        try:
            await self.look()
        except (Incomplete, ScriptError, Unavailable, errors.QubicoError) as exc:
            log.warning("restored.not_looked", cause=type(exc).__name__, detail=str(exc)[:200])

    async def _pass(self, doubt: Doubt) -> bool:
        """Records the tasks of every window, and settles windows up to the first unproved one.

        Up to now: the provider does not document whether it lists a task by creation or by change.
        """
        since = max(from_ms(doubt.shut), from_ms(doubt.now) - REMEMBERED)
        recent = (await self.history.look(since)).complete  # proves windows read after it
        settled, sure = doubt.settled, True
        last = last_arrival(self.clients, doubt.shut)
        async for window in self.history.windows(from_ms(settled) - CLOCKS, from_ms(max(last, recent.began)) + CLOCKS):
            await self._take(doubt, window)
            upto = min(to_ms(window.end - CLOCKS), last)
            sure = sure and self._trusted(doubt, recent, upto) and await self._doubtful_given_up(doubt, window)
            if sure and upto > settled and await self.restoring.settle(doubt, upto):
                settled = upto
        log.info("restored.looked", mark=doubt.mark, shut=doubt.shut, settled=settled, sure=sure)
        return sure and settled >= last

    def _trusted(self, doubt: Doubt, history: Completeness, upto: int) -> bool:
        """Whether a reading begun after the quiet period shows every create that arrived until then."""
        quiet = ms(self.clients.settings.qubico.unknown_quiet_period)
        return history.began >= min(upto, doubt.shut) + quiet and history.covers(upto)

    async def _take(self, doubt: Doubt, window: Window) -> None:
        """Gives each of our unrecorded tasks to its edit."""
        for task_id, attempt in window.ours.items():
            outcome = await self.clients.outcomes.bought(
                attempt.edit_id, attempt=attempt.number, task_id=task_id, how="history"
            )
            if outcome != "missing":
                log.info("restored.taken", edit_id=attempt.edit_id, task_id=task_id, outcome=outcome)
            elif made_at(attempt.edit_id) < from_ms(doubt.mark) - CLOCKS:
                continue  # it had ended and left Redis before
            elif await self.restoring.unknown(task_id, attempt.edit_id):
                log.warning("restored.unknown_edit", edit_id=attempt.edit_id, task_id=task_id)

    async def _doubtful_given_up(self, doubt: Doubt, window: Window) -> bool:
        """Tasks without a token may be ours: queued edits with the same input are not bought again.

        False if that cannot be decided (yet): a task does not show its input, or an edit with the same input
        is not queued, and may be later.
        """
        earliest, latest = from_ms(doubt.mark) - CLOCKS, from_ms(last_arrival(self.clients, doubt.shut)) + CLOCKS
        by_seed: dict[int | None, list[Silent]] = {}  # avoids comparing all edits with all tasks
        for task in window.silent.values():
            if task.created_at is None or earliest <= task.created_at <= latest:
                by_seed.setdefault(task.asked.seed, []).append(task)
        decided = True
        if not by_seed:
            return decided
        async for edit_id, asked in self.restoring.unfinished(doubt):
            wanted = Wanted(Asked.by_edit(asked, ""), earliest=earliest, latest=latest)
            near = [task for seed in {wanted.asked.seed, 0, None} for task in by_seed.get(seed, ())]
            decided = await self._told_apart(edit_id, wanted, near) and decided
        return decided

    async def _told_apart(self, edit_id: str, wanted: Wanted, tasks: list[Silent]) -> bool:
        for task in tasks:
            if task.asked.prompt is None and task.asked.seed is None:
                log.warning("restored.undecidable", task_id=task.task_id)
                return False
            if compare(wanted, task) is not Verdict.OTHER:
                log.warning("restored.given_up", edit_id=edit_id, task_id=task.task_id)
                return await self.restoring.give_up(edit_id, NOT_TOLD)
        return True

    async def _open(self, doubt: Doubt, *, only_if_idle: bool = False) -> None:
        if await self.restoring.open(doubt, only_if_idle=only_if_idle):
            self.clients.registry.shut = False
            log.info("restored.settled", mark=doubt.mark, shut=doubt.shut)
