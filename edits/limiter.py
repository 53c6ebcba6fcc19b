"""The provider's limits, shared by every worker: what closes and opens them. Tokens are taken in the claims alone."""

from datetime import datetime, timedelta
from typing import Final, Literal

from edits import errors, records
from edits.models import Frozen, Wait, from_ms
from edits.scripting import ScriptError, Scripts

LimitName = Literal["create", "read"]
FIRST_BACKOFF: Final = timedelta(seconds=1)
MOST_BACKOFF: Final = timedelta(seconds=60)


class Gate(Frozen):
    """What holds the queue back now; `reason` is None when nothing does."""

    reason: Wait | None = None
    since: datetime | None = None
    until: datetime | None = None
    message: str = ""


class Limiter:
    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def close(self, limit: LimitName, *, after: float | None = None) -> None:
        """The provider refused, or is out of reach: nobody asks for `after` seconds, or for a growing time."""
        await self._scripts.run(
            "gate",
            op="close",
            name=limit,
            after=None if after is None else int(after * 1000),
            first=int(FIRST_BACKOFF.total_seconds() * 1000),
            most=int(MOST_BACKOFF.total_seconds() * 1000),
        )

    async def open(self, limit: LimitName) -> None:
        """A probe got through: the rate climbs back."""
        await self._scripts.run("gate", op="open", name=limit)

    async def block(self, message: str) -> None:
        """The account was refused: nothing is bought until it answers again."""
        await self._scripts.run("gate", op="block", message=message[:200])

    async def unblock(self) -> None:
        await self._scripts.run("gate", op="unblock")

    async def gate(self) -> Gate:
        """Raises Unavailable."""
        try:
            flat, until = await self._scripts.run("gate_state")
        except ScriptError as exc:
            raise errors.Unavailable("Redis does not answer.") from exc
        state = records.pairs(flat)
        if "blocked" in state:
            since = from_ms(int(state["blocked"]))
            return Gate(reason=Wait.PROVIDER_ACCOUNT, since=since, message=state.get("message", ""))
        why = state.get("why")
        return Gate(reason=Wait(str(why)) if why else None, until=from_ms(int(until)) if until else None)
