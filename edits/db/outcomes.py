"""Decisions of steps about claimed edits: each method commits one by one script under the claim's fence.

`bought` alone is a fact and asks for no fence: a task that exists is paid for, whoever reports it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from edits import fairness
from edits.db.claims import Claim
from edits.db.fields import Field
from edits.db.scripts import Argument, Script, is_ok, nothing
from edits.db.sender import Scripts
from edits.models import PRICE_UNITS, CostState, EditError, EditResult, Priority, Wait, to_ms
from edits.pacing.pace import Took

MESSAGE_LENGTH: Final = 500

_BOUGHT: Final = Script("bought", str)
_RECORDED: Final = Script("recorded", nothing)
_SNOOZE: Final = Script("snooze", is_ok, many=True)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Methods return whether the decision counted; False: another process decided first."""

    scripts: Scripts

    async def intend(self, claim: Claim, *, address: str) -> bool:
        """Stores the exact picture address before it is sent."""
        return await self._decide("intend", claim, address=address)

    async def bought(
        self,
        edit_id: str,
        *,
        attempt: int,
        task_id: str,
        how: str,
        units: int = PRICE_UNITS,
        status: str = "pending",
        first_look: float = 0,
    ) -> str:
        """Task `task_id` exists for this attempt. `how` we know: answer, callback or history.

        One that was found is looked at next, and until then costs what tasks cost.
        Returns taken_over, same, late, extra, other or missing (see bought.lua).
        """
        return await self.scripts.run(
            _BOUGHT,
            id=edit_id,
            attempt=attempt,
            task=task_id,
            units=units,
            status=status,
            due=round(first_look * 1000),
            how=how,
        )

    async def release(self, claim: Claim, *, why: str, wait: Wait) -> bool:
        """Not bought, by proof: back into the queue at its old place, with its attempt unspent."""
        return await self._decide("release", claim, event=why, wait=wait)

    async def lost(self, claim: Claim, *, cause: str, delay: float) -> bool:
        """The create's answer was lost: from now on its task is searched for."""
        return await self._decide("lost", claim, cause=cause, due=round(delay * 1000))

    async def snooze(
        self,
        claim: Claim,
        *,
        delay: float,
        tries: int = 0,
        looked: bool = False,
        task_status: str | None = None,
        started_at: datetime | None = None,
        wait: Wait | None = None,
        event: str | None = None,
    ) -> bool:
        """Due again after `delay` seconds, or at once if a callback came in the meantime.

        `looked`: the task was read, so that its wait counts up to now.
        """
        return await self.scripts.run(
            _SNOOZE,
            id=claim.id,
            fence=claim.fence,
            due=round(delay * 1000),
            nudge=claim.moment(Field.NUDGES),
            tries=tries,
            looked=int(looked) or None,
            task_status=task_status,
            started=_ms(started_at),
            wait=wait,
            event=event,
        )

    async def completed(
        self,
        claim: Claim,
        *,
        address: str,
        started_at: datetime | None,
        ended_at: datetime | None,
        units: int | None,
        took: Took | None = None,
    ) -> bool:
        """The provider is done: the result's address is recorded before the copy."""
        return await self._decide(
            "completed",
            claim,
            address=address,
            started=_ms(started_at),
            ended=_ms(ended_at),
            units=units,
            took={"wait": round(took.wait * 1000), "run": round(took.run * 1000)} if took else None,
        )

    async def succeed(self, claim: Claim, result: EditResult, *, at: int, extension: str) -> bool:
        """The result and its manifest are in storage. `at`: milliseconds, as the manifest says."""
        size = {"bytes": result.bytes, "w": result.width, "h": result.height}
        return await self._decide("succeed", claim, at=at, result={"ext": extension, "sha": result.sha256, **size})

    async def fail(
        self, claim: Claim, error: EditError, *, cost: CostState, task_status: str | None = None, abandon: bool = False
    ) -> bool:
        """Ends the edit. `abandon`: its task is still read to its end."""
        return await self._decide(
            "fail",
            claim,
            kind=error.kind,
            message=error.message[:MESSAGE_LENGTH],
            retryable=int(error.retryable),
            code=error.provider_code,
            cost=cost,
            task_status=task_status,
            abandon=int(abandon),
        )

    async def rebuy(self, claim: Claim, *, kind: str, automatic: bool) -> bool:
        """Back into the queue to be bought again; `automatic`: allowed by setting, else by a person."""
        shift = fairness.arrival_shift(Priority(claim.fields[Field.PRIORITY]))
        return await self._decide("rebuy", claim, kind=kind, automatic=int(automatic), shift=shift)

    async def recorded(self, claim: Claim) -> None:
        """The manifest of an edit that ended without a result is written."""
        await self.scripts.run(_RECORDED, id=claim.id, fence=claim.fence)

    async def _decide(self, script: str, claim: Claim, **arguments: Argument) -> bool:
        return await self.scripts.run(Script(script, is_ok), id=claim.id, fence=claim.fence, **arguments)


def _ms(moment: datetime | None) -> int | None:
    return to_ms(moment) if moment else None
