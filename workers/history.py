"""The provider's own history, as far as it names our attempts. An incomplete reading proves nothing, and says so."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from edits.attempts import Attempt
from qubico import errors, schemas
from qubico.account import HistoryPage
from workers.clients import CALLBACKS, Clients
from workers.limits import reading

CLOCKS: Final = timedelta(minutes=2)  # the provider's clock and ours may differ by so much
MOST_PAGES: Final = 200
MOST_REMEMBERED: Final = 20_000
MOST_WITNESSES: Final = 50


class Incomplete(Exception):
    """The history could not be read to its end, so that it proves nothing."""


class Unreadable(Incomplete):
    """The history lists a task that the provider does not know: too young to be read, or never to be read again."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A task of the history: whose it is (None: not ours, or it does not say) and whether it says so at all."""

    attempt: Attempt | None
    says: bool
    created_at: datetime | None


@dataclass(slots=True)
class History:
    """The provider's history as far as it names our attempts. Every task is read once; one scan serves all who wait."""

    clients: Clients
    seen: dict[str, Sighting] = field(default_factory=dict)
    scan: "asyncio.Task[None] | None" = None
    waiting: list[datetime] = field(default_factory=list)

    async def look(self, since: datetime) -> None:
        """Reads all tasks of the history since then. Raises Incomplete."""
        self.waiting.append(since)
        if self.scan is not None and not self.scan.done():
            await asyncio.wait([self.scan])  # it may have begun too early for whoever comes now
        if self.scan is None or self.scan.done():
            # It is for all who wait by now, so it reaches back as far as any of them needs.
            self.scan = asyncio.create_task(self._read(min([since, *self.waiting])))
            self.waiting.clear()
        await asyncio.shield(self.scan)

    async def _read(self, since: datetime) -> None:
        until = datetime.now(UTC) + CLOCKS
        for number in range(1, MOST_PAGES + 1):
            page = await self._page(since, until, number)
            for row in page.rows:
                if row.task_id not in self.seen:
                    self.seen[row.task_id] = await self._sight(row.task_id)
            if not page.rows:  # a page that is not full proves nothing: the provider may allow less than we ask for
                self._forget_oldest()
                return
        raise Incomplete(f"more than {MOST_PAGES} pages")

    async def _page(self, since: datetime, until: datetime, number: int) -> HistoryPage:
        try:
            async with reading(self.clients):
                page = await self.clients.qubico.history(start=since, end=until, page=number)
        except errors.QubicoError as exc:
            raise Incomplete(type(exc).__name__) from exc
        if page.unreadable:
            raise Incomplete(f"{page.unreadable} rows name no task")
        return page

    async def _sight(self, task_id: str) -> Sighting:
        """A task that the history lists and that cannot be read (even a 404: it may be too young) proves nothing."""
        try:
            async with reading(self.clients):
                task = await self.clients.qubico.get(task_id)
        except errors.TaskGone as exc:
            raise Unreadable(type(exc).__name__) from exc
        except errors.QubicoError as exc:
            raise Incomplete(type(exc).__name__) from exc
        says = bool(task.webhook_endpoint or (task.webhook_secret and task.webhook_secret.get_secret_value()))
        return Sighting(attempt_of(self.clients, task), says, task.created_at)

    def _forget_oldest(self) -> None:
        for task_id in list(self.seen)[: max(0, len(self.seen) - MOST_REMEMBERED)]:
            del self.seen[task_id]

    def tasks_of(self, attempt: Attempt) -> list[str]:
        return [task_id for task_id, sighting in self.seen.items() if sighting.attempt == attempt]

    def latest_of_ours(self) -> dict[str, str]:
        """Edit and task of the last of our tasks that the history shows."""
        ours = [(task_id, s) for task_id, s in self.seen.items() if s.attempt and s.created_at]
        ours.sort(key=lambda row: row[1].created_at or datetime.min.replace(tzinfo=UTC), reverse=True)
        return {s.attempt.edit_id: task_id for task_id, s in ours[:MOST_WITNESSES] if s.attempt}

    def may_hide_ours_after(self, moment: datetime) -> bool:
        """A task that shows no token at all could be the one that is looked for."""
        return any(not s.says and (s.created_at is None or s.created_at > moment) for s in self.seen.values())


def attempt_of(clients: Clients, task: schemas.Task) -> Attempt | None:
    """Whose task it is, by the token that we sent and the provider echoes; None if it shows none of ours."""
    endpoint = task.webhook_endpoint or ""
    secret = task.webhook_secret.get_secret_value() if task.webhook_secret else ""
    for token in (endpoint.rpartition(CALLBACKS)[2], secret):
        attempt = clients.tokens.verify(token) if token else None
        if attempt is not None:
            return attempt
    return None
