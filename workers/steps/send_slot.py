"""When a create may be sent: at its slot. A slot missed by a stall of this process is not used."""

import asyncio
from dataclasses import dataclass, field

import structlog

from edits.db.claims import Claim
from edits.db.clock import boot_time
from edits.db.sender import ScriptError
from edits.db.tokens import CircuitOpen
from edits.models import Wait
from workers.clients import Clients
from workers.lease import Lease

log = structlog.get_logger()


@dataclass(slots=True)
class SendSlot:
    """Of one claimed edit."""

    clients: Clients
    claim: Claim
    lease: Lease
    put_back: tuple[str, Wait] | None = None  # why it must not be sent any more, and its wait then; None: it may
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._at = self.claim.send_at

    async def comes(self) -> None:
        """Waits for the slot. Called before a connection is opened, and again on the open connection."""
        while self.put_back is None:
            await asyncio.sleep(max(0.0, self._at - boot_time()))
            if not self._is_put_back() and await self._is_now():
                return

    def _is_put_back(self) -> bool:
        if self.clients.circuits.create.opened_since(self.lease.began, self.claim.id):
            self.put_back = "not_sent", Wait.COOLDOWN
        return self.put_back is not None

    async def _is_now(self) -> bool:
        """Else it has another slot, or is put back. A probe is sent alone, at any time.

        A process that ends still sends at its slots: no other process can use them.
        """
        probes = self.clients.circuits.create.probes
        if self.claim.id in probes or boot_time() - self._at <= self.clients.slot_good_for:
            return True
        if self.clients.stopping():
            self.put_back = "handed_back", Wait.FAIR_SHARE
            return False
        try:
            self._at, probe = await self.clients.rate_tokens.new_slot()
        except CircuitOpen:
            self.put_back = "not_sent", Wait.COOLDOWN
        except ScriptError as exc:
            log.warning("slot.lost", edit_id=self.claim.id, error=str(exc))
            self.put_back = "not_sent", Wait.FAIR_SHARE
        else:
            if probe:
                probes.add(self.claim.id)
        return False
