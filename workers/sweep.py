"""Step sweep: what nobody waits for: manifests of edits that ended without a result, paid tasks that were given up."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from edits import manifest, pacing
from edits.layout import manifest_key
from edits.schedule import Claim, Claims, Step
from edits.storage import StorageError
from qubico import errors
from workers.clients import Clients
from workers.lease import Lease, boot_time
from workers.limits import reading

log = structlog.get_logger()

ABANDONED_EVERY: Final = 10.0  # seconds between looks for paid tasks that are due to be read
ABANDONED_AT_ONCE: Final = 5


@dataclass(slots=True)
class Sweep:
    clients: Clients
    step = Step.SWEEP
    looked_at: float = float("-inf")

    @property
    def lease(self) -> timedelta:
        return self.clients.settings.leases.poll_lease

    async def claim(self, most: int) -> Claims:
        if boot_time() - self.looked_at > ABANDONED_EVERY:
            self.looked_at = boot_time()
            await self._read_abandoned()
        claims = await self.clients.schedule.claim_due(
            "manifest", most, lease=self.lease, wakes=Step.SWEEP, with_input=True
        )
        return Claims(claims.claims, min(claims.next, ABANDONED_EVERY))

    async def work(self, claim: Claim, lease: Lease) -> None:
        edit = claim.edit()
        timeline = await lease.decide(lambda: self.clients.schedule.timeline(claim.id))
        if not timeline:
            return
        try:
            await self.clients.storage.put(
                manifest_key(edit.id), manifest.compose(edit, timeline), content_type="application/json"
            )
        except StorageError as exc:  # its lease runs out and it is due again
            log.warning("manifest.not_written", edit_id=claim.id, cause=type(exc).__name__)
            return
        await lease.decide(lambda: self.clients.outcomes.recorded(claim))

    async def _read_abandoned(self) -> None:
        schedule = self.clients.schedule
        for task_id, edit_id in await schedule.claim_abandoned(ABANDONED_AT_ONCE, lease=self.lease):
            try:
                async with reading(self.clients):
                    task = await self.clients.qubico.get(task_id)
            except errors.TaskGone:
                await schedule.settle_abandoned(task_id, status="gone")
                continue
            except errors.QubicoError as exc:
                log.warning("abandoned.unreadable", edit_id=edit_id, cause=type(exc).__name__)
                continue
            if task.is_final:
                await schedule.settle_abandoned(task_id, status=task.status)
            else:
                age = time.time() - task.created_at.timestamp() if task.created_at else 0.0
                await schedule.abandoned_later(task_id, delay=pacing.abandoned_look(age))
