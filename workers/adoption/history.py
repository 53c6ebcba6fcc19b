"""Reads the provider's history for our attempts. An incomplete reading proves nothing and raises Incomplete."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from edits.attempts import Attempt
from edits.db.clock import ms
from edits.db.freshness import Completeness, Freshness, Known
from edits.db.sender import ScriptError
from edits.models import from_ms, to_ms
from qubico import errors, schemas
from qubico.account import LARGEST_PAGE, HistoryPage
from workers.adoption.matching import Asked, Silent
from workers.circuits import reading
from workers.clients import Clients

CLOCKS: Final = timedelta(minutes=2)  # largest difference of the provider's clock and that of Redis
TRAVEL: Final = timedelta(seconds=25)  # from the claim of a create to the provider
MOST_PAGES: Final = 100  # of one window; longer windows are halved
SECOND: Final = timedelta(
    seconds=1
)  # the provider's unit of time; it does not say whether a window's ends belong to it
MOST_REMEMBERED: Final = 20_000


class Incomplete(Exception):
    """The history was not read to its end, so it proves nothing."""


class Unreadable(Incomplete):
    """A fault that may be permanent: a listed task that the provider does not know, or clocks too far apart."""


Sighting = Attempt | Silent | None
"""A task of the history without a known edit: ours, without a token or callback address, or of somebody else (None)."""


@dataclass(frozen=True, slots=True)
class Window:
    """All tasks of a time window up to `end`, with the provider's creation times."""

    end: datetime
    listed: Mapping[str, datetime | None]
    without_edit: Mapping[str, Sighting]

    @property
    def ours(self) -> dict[str, Attempt]:
        return {task_id: seen for task_id, seen in self.without_edit.items() if isinstance(seen, Attempt)}

    @property
    def silent(self) -> dict[str, Silent]:
        return {task_id: seen for task_id, seen in self.without_edit.items() if isinstance(seen, Silent)}


@dataclass(frozen=True, slots=True)
class Reading:
    """The completeness of a reading, our tasks found in it, and tasks without a token."""

    complete: Completeness
    ours: Mapping[str, Attempt]
    silent: Mapping[str, Silent]

    def tasks_of(self, attempt: Attempt) -> list[str]:
        return [task_id for task_id, whose in self.ours.items() if whose == attempt]


@dataclass(slots=True)
class History:
    """The provider's history. Every task without a known edit is read once. One scan serves all waiting callers.

    The question that it answers: `(await history.look(since)).complete.covers(moment)`, may the history be taken as
    complete for creates that reached the provider up to that moment (ms, by the clock of Redis)?
    """

    clients: Clients
    remembered: dict[str, Sighting] = field(default_factory=dict)
    scan: "asyncio.Task[Reading] | None" = None
    waiting: list[datetime] = field(default_factory=list)

    @property
    def _freshness(self) -> Freshness:
        return Freshness(self.clients.repository.scripts)

    async def look(self, since: datetime) -> Reading:
        """Reads the tasks created since then (clock of Redis; the provider's may be off by two minutes).

        Raises Incomplete, after which nothing is known.
        """
        self.waiting.append(since)
        if self.scan is not None and not self.scan.done():
            await asyncio.wait([self.scan])  # it may have begun too early for this call
        if self.scan is None or self.scan.done():
            # It serves all waiting callers, so it reaches back as far as any of them needs.
            self.scan = asyncio.create_task(self._read(min([since, *self.waiting])))
            self.waiting.clear()
        return await asyncio.shield(self.scan)

    async def _read(self, since: datetime) -> Reading:
        listed: dict[str, datetime | None] = {}  # of the known tasks
        ours: dict[str, Attempt] = {}
        silent: dict[str, Silent] = {}
        try:
            known = await self._freshness.known()
            # It reaches back to a known task, which shows how far the clocks differ.
            start = min([since, from_ms(max(known.tasks.values(), default=known.now))])
            async for window in self.windows(start - CLOCKS, from_ms(known.now) + CLOCKS):
                listed |= {task_id: at for task_id, at in window.listed.items() if task_id in known.tasks}
                ours |= window.ours
                silent |= window.silent
            await self._compare_clocks(known, listed)
            return Reading(await self._freshness.judge(known, listed, since=to_ms(start)), ours, silent)
        except ScriptError as exc:
            raise Incomplete(type(exc).__name__) from exc

    async def windows(self, start: datetime, end: datetime) -> AsyncIterator[Window]:
        """All tasks of this time, earliest first, in windows of at most MOST_PAGES. Raises Incomplete."""
        length = end - start
        while start < end:
            until = min(start + length, end)
            pages, listed = await self._pages(start - SECOND, until + SECOND)
            if pages <= MOST_PAGES:
                yield Window(until, listed, await self._sightings(listed))
                start = until
                length *= 2 if pages <= MOST_PAGES // 2 else 1
            elif length < SECOND:
                raise Incomplete(f"more than {MOST_PAGES} pages of one second")
            else:
                length = (until - start) / 2

    async def _pages(self, start: datetime, end: datetime) -> tuple[int, dict[str, datetime | None]]:
        """The tasks of this time in any order, even one that changes meanwhile, and the number of their pages.

        All of them, unless there are more pages than MOST_PAGES.
        """
        listed: dict[str, datetime | None] = {}
        said = 0
        for number in range(1, MOST_PAGES + 2):
            page = await self._page(start, end, number)
            listed.update((row.task_id, row.created_at) for row in page.rows)
            said = max(said, page.total or 0) if number == 1 else said
            if not page.rows:  # a page that is not full proves nothing: the provider may cap its size
                if len(listed) < said:
                    raise Incomplete("rows moved from page to page while they were read")
                return number - 1, listed
        return MOST_PAGES + 1, listed

    async def _page(self, start: datetime, end: datetime, number: int) -> HistoryPage:
        try:
            async with reading(self.clients.rate_tokens, self.clients.circuits.history):
                page = await self.clients.qubico.history(start=start, end=end, page=number)
        except errors.QubicoError as exc:
            raise Incomplete(type(exc).__name__) from exc
        if page.unreadable:
            raise Incomplete(f"{page.unreadable} rows name no task")
        return page

    async def _compare_clocks(self, known: Known, listed: Mapping[str, datetime | None]) -> None:
        """A page of another time would lack the wanted tasks and seem complete."""
        ours = sorted((claimed, task_id) for task_id, claimed in known.tasks.items() if task_id in listed)
        for claimed, task_id in ours[-1:]:
            created = listed[task_id] or (await self._task(task_id)).created_at
            if created is None or not TRAVEL - CLOCKS <= created - from_ms(claimed) <= CLOCKS:
                raise Unreadable(f"our time and the provider's are apart: task {task_id} was created at {created}")

    async def _sightings(self, listed: Mapping[str, object]) -> dict[str, Sighting]:
        """Sightings of tasks without a known edit. A remembered task is not read again."""
        tasks, found = list(listed), {}
        for first in range(0, len(tasks), LARGEST_PAGE):
            for task_id in await self._freshness.without_edit(tasks[first : first + LARGEST_PAGE]):
                if task_id not in self.remembered:
                    self.remembered[task_id] = self._sighting(await self._task(task_id))
                found[task_id] = self.remembered[task_id]
        for task_id in list(self.remembered)[: max(0, len(self.remembered) - MOST_REMEMBERED)]:
            del self.remembered[task_id]
        return found

    def _sighting(self, task: schemas.Task) -> Sighting:
        if task.webhook_endpoint or (task.webhook_secret and task.webhook_secret.get_secret_value()):
            return attempt_of(self.clients, task)
        return Silent(task.task_id, Asked.by_task(task.input), task.created_at)

    async def _task(self, task_id: str) -> schemas.Task:
        """A listed task that cannot be read (even 404: it may be too young) proves nothing."""
        try:
            return await self.clients.read_task(task_id)
        except errors.TaskGone as exc:
            raise Unreadable(type(exc).__name__) from exc
        except errors.QubicoError as exc:
            raise Incomplete(type(exc).__name__) from exc


def last_arrival(clients: Clients, claimed_at: int) -> int:
    """The latest arrival at the provider of a create claimed then. Both ms, by the clock of Redis."""
    leases = clients.settings.leases
    return claimed_at + ms(leases.send_window + leases.create_timeout)


def attempt_of(clients: Clients, task: schemas.Task) -> Attempt | None:
    """The attempt named by the echoed token; None without a token of ours."""
    secret = task.webhook_secret.get_secret_value() if task.webhook_secret else ""
    return clients.tokens.shown_by(task.webhook_endpoint, secret)
