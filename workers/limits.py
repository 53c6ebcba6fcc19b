"""What an answer says about the limits: a refusal closes one for everybody, the answer to its probe opens it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from edits.limiter import LimitName
from edits.schedule import Claim, Claims
from qubico import errors
from workers.clients import Clients


@dataclass(slots=True)
class Probes:
    """The claims let through while a limit is half-open. Others may be claimed before a probe has its answer."""

    clients: Clients
    limit: LimitName
    claimed: set[str] = field(default_factory=set)

    def note(self, claims: Claims) -> None:
        if claims.half and claims.claims:
            self.claimed = {claim.id for claim in claims.claims}

    async def answered(self, claim: Claim) -> None:
        """The provider answered, and not that it was too much."""
        if claim.id in self.claimed:
            self.claimed.discard(claim.id)
            await self.clients.limiter.open(self.limit)


@asynccontextmanager
async def reading(clients: Clients) -> AsyncIterator[None]:
    """Around one read that belongs to no poll: waits for its token, and tells all others what came of it."""
    await clients.schedule.read_token()
    try:
        yield
    except errors.Throttled as exc:
        await clients.limiter.close("read", after=exc.retry_after)
        raise
    except errors.TaskGone:
        await clients.limiter.open("read")  # an answer, too; does nothing unless the limit is half-open
        raise
    else:
        await clients.limiter.open("read")
