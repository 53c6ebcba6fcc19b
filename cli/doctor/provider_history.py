"""The provider's history for the checker: each read waits for its token, and a refusal stops all other readers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from edits.attempts import Tokens
from edits.db.circuits import Limiter
from edits.db.sender import ScriptError
from edits.db.tokens import CircuitOpen, RequestTokens
from edits.invariants import HistoryTask, HistoryUnreadable
from qubico import errors, schemas
from qubico.client import QubicoClient

MOST_PAGES: Final = 200
CLOCKS: Final = timedelta(minutes=2)  # the provider's clock and ours may differ by so much


@dataclass(frozen=True, slots=True)
class ProvidersPast:
    qubico: QubicoClient
    rate_tokens: RequestTokens
    limiter: Limiter
    tokens: Tokens

    async def pages(self, since: datetime) -> AsyncIterator[list[HistoryTask]]:
        until = datetime.now(UTC) + CLOCKS
        for number in range(1, MOST_PAGES + 1):
            async with self._reading():
                page = await self.qubico.history(start=since - CLOCKS, end=until, page=number)
            if page.unreadable:
                raise HistoryUnreadable(f"{page.unreadable} rows name no task")
            if not page.rows:  # a page that is not full proves nothing: the provider may allow less than we ask for
                return
            final = {schemas.TaskStatus.COMPLETED, schemas.TaskStatus.FAILED}
            yield [HistoryTask(row.task_id, row.status in final) for row in page.rows]
        raise HistoryUnreadable(f"more than {MOST_PAGES} pages; look back less far")

    async def read(self, task_id: str) -> HistoryTask | None:
        try:
            async with self._reading():
                task = await self.qubico.get(task_id)
        except errors.TaskGone:
            return None
        secret = task.webhook_secret.get_secret_value() if task.webhook_secret else ""
        return HistoryTask(task_id, task.is_final, self.tokens.shown_by(task.webhook_endpoint, secret))

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        try:
            await self.rate_tokens.read()
            yield
        except errors.Throttled as exc:
            await self.limiter.open("read", after=exc.retry_after)
            raise HistoryUnreadable("the provider throttles our reads") from exc
        except errors.TaskGone:
            raise
        except errors.QubicoError as exc:
            raise HistoryUnreadable(f"{type(exc).__name__}: {exc}") from exc
        except CircuitOpen as exc:
            raise HistoryUnreadable("reads of tasks do not work now, as the workers found out") from exc
        except ScriptError as exc:
            raise HistoryUnreadable(f"no read token: {exc}") from exc
