"""The provider's own history, as far as it names our attempts. An incomplete reading proves nothing, and says so."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from edits.attempts import Attempt
from edits.freshness import Completeness, Freshness, Known
from edits.models import from_ms, to_ms
from edits.scripting import ScriptError
from qubico import errors, schemas
from qubico.account import HistoryPage
from workers.clients import CALLBACKS, Clients
from workers.limits import reading
from workers.matching import Asked, Silent

CLOCKS: Final = timedelta(minutes=2)  # the provider's clock and that of Redis may differ by so much
TRAVEL: Final = timedelta(seconds=25)  # from the claim of a create to the provider
MOST_PAGES: Final = 200
MOST_REMEMBERED: Final = 20_000


Shown = dict[str, datetime | None]
"""The tasks of a reading, and when the provider says they were created."""


class Incomplete(Exception):
    """The history could not be read to its end, so that it proves nothing."""


class Unreadable(Incomplete):
    """What may never get better: a listed task that the provider does not know, or clocks that are too far apart."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A task of the history that no edit is known to have: whose it is (None: not ours, or it does not say)."""

    attempt: Attempt | None
    silent: Silent | None  # it shows neither a token nor an address for callbacks, ours or somebody else's


@dataclass(slots=True)
class History:
    """The provider's history. Tasks that edits have are not read; every other one is, once. A scan serves all who wait.

    The question that it answers: `(await history.look(since)).covers(moment)`, may the history be taken as complete
    for creates that reached the provider up to that moment (ms, by the clock of Redis)?
    """

    clients: Clients
    seen: dict[str, Sighting] = field(default_factory=dict)
    scan: "asyncio.Task[Completeness] | None" = None
    waiting: list[datetime] = field(default_factory=list)

    async def look(self, since: datetime) -> Completeness:
        """Reads what was created since then, by the clock of Redis, the provider's being off by two minutes at most.

        Returns what that reading may be trusted with. Raises Incomplete, after which nothing is known.
        """
        self.waiting.append(since)
        if self.scan is not None and not self.scan.done():
            await asyncio.wait([self.scan])  # it may have begun too early for whoever comes now
        if self.scan is None or self.scan.done():
            # It is for all who wait by now, so it reaches back as far as any of them needs.
            self.scan = asyncio.create_task(self._read(min([since, *self.waiting])))
            self.waiting.clear()
        return await asyncio.shield(self.scan)

    async def _read(self, since: datetime) -> Completeness:
        freshness = Freshness(self.clients.repository.scripts)
        try:
            known = await freshness.known()
            # It reaches back to a task that we know, which vouches for the clocks.
            start = min([since, from_ms(max(known.tasks.values(), default=known.now))])
            shown = await self._pages(start - CLOCKS, from_ms(known.now) + CLOCKS, freshness)
            await self._compare_clocks(known, shown)
            return await freshness.judge(known, shown.keys(), since=to_ms(start))
        except ScriptError as exc:
            raise Incomplete(type(exc).__name__) from exc

    async def _pages(self, start: datetime, end: datetime, freshness: Freshness) -> Shown:
        """All tasks of this span, whatever their order and although it may change meanwhile."""
        shown: Shown = {}
        listed = 0
        for number in range(1, MOST_PAGES + 1):
            page = await self._page(start, end, number)
            shown.update((row.task_id, row.created_at) for row in page.rows)
            listed = max(listed, page.total or 0) if number == 1 else listed
            if not page.rows:  # a page that is not full proves nothing: the provider may allow less than we ask for
                if len(shown) < listed:
                    raise Incomplete("rows moved from page to page while they were read")
                self._forget_oldest(shown)
                return shown
            new = [row.task_id for row in page.rows if row.task_id not in self.seen]
            for task_id in await freshness.unowned(new):
                self.seen[task_id] = await self._sight(task_id)
        raise Incomplete(f"more than {MOST_PAGES} pages")

    async def _page(self, start: datetime, end: datetime, number: int) -> HistoryPage:
        try:
            async with reading(self.clients.schedule, self.clients.circuits.history):
                page = await self.clients.qubico.history(start=start, end=end, page=number)
        except errors.QubicoError as exc:
            raise Incomplete(type(exc).__name__) from exc
        if page.unreadable:
            raise Incomplete(f"{page.unreadable} rows name no task")
        return page

    async def _compare_clocks(self, known: Known, shown: Shown) -> None:
        """A span of another time would show nothing of what is looked for, and seem complete."""
        ours = sorted((claimed, task_id) for task_id, claimed in known.tasks.items() if task_id in shown)
        for claimed, task_id in ours[-1:]:
            created = shown[task_id] or await self._created(task_id)
            if created is None or not TRAVEL - CLOCKS <= created - from_ms(claimed) <= CLOCKS:
                raise Unreadable(f"our time and the provider's are apart: task {task_id} was created at {created}")

    async def _created(self, task_id: str) -> datetime | None:
        try:
            async with reading(self.clients.schedule, self.clients.circuits.read):
                return (await self.clients.qubico.get(task_id)).created_at
        except errors.QubicoError as exc:
            raise Incomplete(type(exc).__name__) from exc

    async def _sight(self, task_id: str) -> Sighting:
        """A task that the history lists and that cannot be read (even a 404: it may be too young) proves nothing."""
        try:
            async with reading(self.clients.schedule, self.clients.circuits.read):
                task = await self.clients.qubico.get(task_id)
        except errors.TaskGone as exc:
            raise Unreadable(type(exc).__name__) from exc
        except errors.QubicoError as exc:
            raise Incomplete(type(exc).__name__) from exc
        says = bool(task.webhook_endpoint or (task.webhook_secret and task.webhook_secret.get_secret_value()))
        silent = None if says else Silent(task_id, Asked.by_task(task.input), task.created_at)
        return Sighting(attempt_of(self.clients, task), silent)

    def _forget_oldest(self, shown: Shown) -> None:
        """But none of this reading: a task of it that is not remembered would count as absent."""
        for task_id in list(self.seen)[: max(0, len(self.seen) - MOST_REMEMBERED)]:
            if task_id not in shown:
                del self.seen[task_id]

    def tasks_of(self, attempt: Attempt) -> list[str]:
        return [task_id for task_id, sighting in self.seen.items() if sighting.attempt == attempt]

    async def silent(self) -> list[Silent]:
        """Tasks that do not say whose they are, without those that an edit is known to have by now."""
        found = {task_id: s.silent for task_id, s in self.seen.items() if s.silent}
        unowned = await Freshness(self.clients.repository.scripts).unowned(list(found)) if found else []
        return [found[task_id] for task_id in unowned]


def attempt_of(clients: Clients, task: schemas.Task) -> Attempt | None:
    """Whose task it is, by the token that we sent and the provider echoes; None if it shows none of ours."""
    endpoint = task.webhook_endpoint or ""
    secret = task.webhook_secret.get_secret_value() if task.webhook_secret else ""
    for token in (endpoint.rpartition(CALLBACKS)[2], secret):
        attempt = clients.tokens.verify(token) if token else None
        if attempt is not None:
            return attempt
    return None
