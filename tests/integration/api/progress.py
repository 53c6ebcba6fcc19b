"""Moves accepted edits forward as workers do, by the same claims and decisions, without the provider."""

import contextlib
import hashlib
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from PIL import Image

from config.settings import Settings
from edits.ceilings import Ceilings
from edits.db import connection
from edits.db.circuits import Limiter
from edits.db.claims import Claim, Claimer
from edits.db.outcomes import Outcomes
from edits.db.repository import EditRepository
from edits.db.workers import WorkerRegistry
from edits.models import CostState, EditError, EditResult, ErrorKind, Step, to_ms
from edits.storage import layout, manifest
from edits.storage.links import Links
from edits.storage.store import Storage
from tests.integration.edits.core import raw

LEASE = timedelta(seconds=40)


def png(width: int = 64, height: int = 48) -> bytes:
    written = io.BytesIO()
    Image.effect_noise((width, height), 80).convert("RGB").save(written, "PNG")
    return written.getvalue()


class Progress:
    def __init__(self, repository: EditRepository, storage: Storage) -> None:
        self.repository = repository
        self.storage = storage
        self._outcomes = Outcomes(repository.scripts)
        scripts = repository.scripts
        self._claims = Claimer(scripts, WorkerRegistry(scripts, Ceilings(1000, 1000, 1000)))

    async def submitting(self) -> Claim:
        """Claims the next edit of the queue."""
        (claim,) = (await self._claims.submit(1, lease=LEASE)).claims
        return claim

    async def processing(self, task_id: str = "task-1") -> Claim:
        claim = await self.submitting()
        await self._outcomes.bought(
            claim.id,
            attempt=claim.attempt,
            task_id=task_id,
            units=200_000,
            status="pending",
            first_look=0,
            how="answer",
        )
        return claim

    async def failed(self, kind: ErrorKind = ErrorKind.MODERATED) -> None:
        claim = await self.submitting()
        error = EditError(kind=kind, message="refused for its content", retryable=True, provider_code=400)
        assert await self._outcomes.fail(claim, error, cost=CostState.RELEASED)

    async def succeeded(self, data: bytes) -> str:
        """Stores `data` as the result of the next queued edit; returns its id."""
        await self.processing()
        (polled,) = (await self._claims.due("poll", 1, lease=LEASE, wakes=Step.POLL, with_input=False)).claims
        assert await self._outcomes.completed(polled, address="http://x/y", started_at=None, ended_at=None, units=None)
        (claim,) = (await self._claims.due("store", 1, lease=LEASE, wakes=Step.STORE, with_input=True)).claims
        key = layout.result_key(claim.id, claim.attempt, "png")
        await self.storage.put(key, data, content_type="image/png")
        result = EditResult(
            key=key,
            content_type="image/png",
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            width=64,
            height=48,
        )
        assert await self._outcomes.succeed(claim, result, at=to_ms(datetime.now(UTC)), extension="png")
        return claim.id

    async def block(self, message: str) -> None:
        """The provider refuses the whole account."""
        await Limiter(self.repository.scripts).block(message)

    async def leave_redis(self, *edit_ids: str) -> None:
        """Writes manifests and evicts ended edits, as after RETOUCH_EDITS__HOT."""
        for edit_id in edit_ids:
            edit = await self.repository.get(edit_id)
            events = await self.repository.timeline(edit_id)
            assert edit is not None
            assert events is not None
            content = manifest.compose(edit, events)
            await self.storage.put(layout.manifest_key(edit_id), content, content_type="application/json")
            await self.repository.redis.zrem(f"{self.repository.namespace}:due:manifest", edit_id)
        await self.repository.scripts.run(raw("evict"), k=1000, hot=0, later=1000)
        assert await self.repository.get_many(edit_ids) == []


@contextlib.asynccontextmanager
async def progress_of(settings: Settings) -> AsyncIterator[Progress]:
    assert settings.redis_url is not None
    assert settings.secret_key is not None
    redis = connection.connect(settings.redis_url)
    links = Links(settings.secret_key.get_secret_value())
    storage = Storage(settings.storage_url, links=links, public_url=settings.public_url)
    try:
        yield Progress(EditRepository(redis, namespace=settings.namespace), storage)
    finally:
        await redis.aclose()
