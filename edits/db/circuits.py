"""Limits and circuits, shared by every worker: what opens and closes them. Tokens are taken in the claims alone."""

from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from redis.asyncio import Redis

from edits.db.connection import answering
from edits.db.keys import Key
from edits.db.scripts import Argument, Script, nothing
from edits.db.sender import Scripts
from edits.models import Frozen, Wait, from_ms

Operation = Literal["create", "read", "history", "download", "storage"]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
FIRST_BACKOFF: Final = timedelta(seconds=1)
MOST_BACKOFF: Final = timedelta(seconds=30)
MOST_REFUSED: Final = timedelta(seconds=4)  # longest back-off after a 429: a probe every few seconds is no burden


class Gate(Frozen):
    """What holds the queue back now; `reason` is None when nothing does."""

    reason: Wait | None = None
    message: str = ""


class Outage(Frozen):
    """The open circuit of an operation."""

    since: datetime
    probe_at: datetime  # when it is tried again, by one request alone
    cause: str = ""  # what opened it last; "" if unknown


async def outages(redis: Redis, namespace: str) -> dict[Operation, Outage]:
    """Operations that do not work now. Raises Unavailable."""
    pipe = redis.pipeline(transaction=False)
    for name in OPERATIONS:
        pipe.hmget(Key.LIMIT.of(namespace, name), "half", "down", "until", "cause")
    async with answering():
        states = await pipe.execute()
    return {
        name: Outage(since=from_ms(int(down)), probe_at=from_ms(int(until or down)), cause=cause or "")
        for name, (half, down, until, cause) in zip(OPERATIONS, states, strict=True)
        if half == "1" and down
    }


async def gate(redis: Redis, namespace: str) -> Gate:
    """Raises Unavailable."""
    async with answering():
        blocked, message, why = await redis.hmget(Key.GATE.of(namespace), "blocked", "message", "why")
    if blocked:
        return Gate(reason=Wait.PROVIDER_ACCOUNT, message=str(message or ""))
    return Gate(reason=Wait(str(why)) if why else None)


class Limiter:
    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def open(
        self,
        operation: Operation,
        *,
        after: float | None = None,
        age: float | None = None,
        ago: float = 0,
        probe: bool = False,
        most: timedelta = MOST_BACKOFF,
        cause: str = "",
    ) -> None:
        """The operation is refused or unreachable: no calls for `after` seconds, or for a growing time.

        Seconds: `age` since the failed request began, `ago` since the first failure in a row. `probe`: it was one.
        `most`: where the time stops growing. `cause`: what happened, for people.
        """
        await self._change(
            "open",
            name=operation,
            age=None if age is None else int(age * 1000),
            ago=int(ago * 1000),
            probe=int(probe),
            cause=cause[:200],
            after=None if after is None else int(after * 1000),
            first=int(FIRST_BACKOFF.total_seconds() * 1000),
            most=int(most.total_seconds() * 1000),
        )

    async def close(self, operation: Operation) -> None:
        """A probe got through: the rate climbs back."""
        await self._change("close", name=operation)

    async def probe_again(self, operation: Operation) -> None:
        """A probe failed for another reason, without a result: another may start at once."""
        await self._change("again", name=operation)

    async def block(self, message: str) -> None:
        """The account was refused: nothing is bought until it answers again."""
        await self._change("block", message=message[:200])

    async def unblock(self) -> None:
        await self._change("unblock")

    async def _change(self, op: str, **arguments: Argument) -> None:
        await self._scripts.run(Script("gate", nothing, op=op), **arguments)
