"""Step sweep, the background work: manifests of edits without a result, abandoned tasks, retention."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Final

import structlog

from edits.db.claims import Claim, Claims
from edits.db.clock import boot_time
from edits.models import Edit, Step
from edits.pacing import pace
from edits.retention import Retention
from edits.storage import manifest
from edits.storage.backends import ObjectMissing, StorageError
from edits.storage.layout import manifest_key
from qubico import errors
from workers.lease import Lease
from workers.steps.work import StepWork

log = structlog.get_logger()

LOOKS_EVERY: Final = 30.0  # seconds between searches for due abandoned tasks and for old edits and objects
ABANDONED_AT_ONCE: Final = 5
READ_WITHIN: Final = 10.0  # seconds; a provider that is slow or closed for long must not hold the chain


@dataclass(slots=True)
class Sweep(StepWork):
    step = Step.SWEEP
    looked_at: float = float("-inf")
    too_old_left: bool = False
    retention: Retention = field(init=False)

    def __post_init__(self) -> None:
        edits = self.clients.settings.edits
        scripts, storage = self.clients.repository.scripts, self.clients.storage
        self.retention = Retention(scripts, storage, hot=edits.hot, retention=edits.retention, lease=self.lease)

    async def claim(self, most: int) -> Claims:
        its_time = boot_time() - self.looked_at > LOOKS_EVERY
        if its_time:
            self.looked_at = boot_time()
            with contextlib.suppress(TimeoutError):  # the others are due again when their lease ends
                async with asyncio.timeout(READ_WITHIN):
                    await self._read_abandoned()
        if its_time or self.too_old_left:
            self.too_old_left = await self.retention.slice()
        claims = await self.clients.claims.due("manifest", most, lease=self.lease, wakes=Step.SWEEP, with_input=True)
        self.clients.circuits.storage.note(claims)
        return Claims(claims.claims, 0.0 if self.too_old_left else min(claims.next, LOOKS_EVERY))

    async def work(self, claim: Claim, lease: Lease) -> None:
        edit = claim.edit()
        timeline = await lease.decide(lambda: self.clients.claims.timeline(claim.id))
        if not timeline:
            return
        try:
            if self.clients.registry.shut and await self._later_attempt_told(edit):
                return
            await self.clients.storage.put(
                manifest_key(edit.id), manifest.compose(edit, timeline), content_type="application/json"
            )
        except StorageError as exc:  # its lease runs out and it is due again
            log.warning("manifest.not_written", edit_id=claim.id, cause=type(exc).__name__)
            await self.clients.circuits.storage.failed(claim.id, exc, age=lease.age)
            return
        await self.clients.circuits.storage.answered(claim.id)
        await lease.decide(lambda: self.clients.outcomes.recorded(claim))

    async def _later_attempt_told(self, edit: Edit) -> bool:
        """Redis was restored, and its state of this edit may be old: it is due again after its lease."""
        try:
            found = manifest.read(await self.clients.storage.get(manifest_key(edit.id)))
        except ObjectMissing:
            return False
        return found is not None and found[0].attempt > edit.attempt

    async def _read_abandoned(self) -> None:
        claims = self.clients.claims
        for task_id, edit_id in await claims.abandoned(ABANDONED_AT_ONCE, lease=self.lease):
            try:
                task = await self.clients.read_task(task_id)
            except errors.TaskGone:
                await claims.settle_abandoned(task_id, status="gone")
                continue
            except errors.QubicoError as exc:
                log.warning("abandoned.unreadable", edit_id=edit_id, cause=type(exc).__name__)
                continue
            if task.is_final:
                await claims.settle_abandoned(task_id, status=task.status, units=task.charge)
            else:
                age = time.time() - task.created_at.timestamp() if task.created_at else 0.0
                await claims.abandoned_later(task_id, delay=pace.abandoned_look(age))
