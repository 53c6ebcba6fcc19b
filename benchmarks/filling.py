"""Puts edits in flight by the product's own scripts alone (accept, claim, bought): at a rate it would take hours."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from redis.asyncio import Redis

from benchmarks.spent import spent
from benchmarks.system import NAMESPACE
from edits.db.acceptance import Accepted, Idempotency
from edits.db.admission import Caps
from edits.db.claims import Claim
from edits.db.outcomes import Outcomes
from edits.db.repository import EditRepository
from edits.db.schedule import Schedule
from edits.db.sender import Scripts
from edits.errors import AcceptUnknown, Unavailable
from edits.models import Edit

AT_ONCE: Final = 500  # edits of which one script is called after the other
ACCEPTS_AT_ONCE: Final = 50
CLAIMED: Final = 64  # by one call: as many as a worker has permits to submit
LEASE: Final = timedelta(hours=1)
ROOM: Final = Caps(max_queued=10**7)


@dataclass
class Filler:
    """Puts edits in flight as the API and a worker would, and tells what each script took in Redis."""

    redis: Redis
    edit: Callable[[], Edit]
    _tasks: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        scripts = Scripts(self.redis, NAMESPACE)
        self.repository = EditRepository(self.redis, namespace=NAMESPACE, scripts=scripts)
        self.outcomes = Outcomes(scripts)
        self.schedule = Schedule(scripts, 1e6, 1e6, 10**7)

    async def fill(self, number: int) -> None:
        """By the list: nobody looks at what it takes."""
        for at in range(0, number, AT_ONCE):
            some = min(AT_ONCE, number - at)
            edits = [(self.edit(), None) for _ in range(some)]
            if not all(isinstance(one, Accepted) for one in await self.repository.accept_many(edits, ROOM)):
                raise RuntimeError("not every edit was taken in")
            claims: list[Claim] = []
            await self._claim(some, claims)
            await self._bought(claims)
        await self._forget_answers()
        await self._settled()

    async def put(self, number: int, *, keyed: bool = False) -> dict[str, float]:
        """Microseconds of Redis' CPU that each script takes, an edit."""
        spent: dict[str, float] = {"accept": 0.0, "claim": 0.0, "commit": 0.0}
        for at in range(0, number, AT_ONCE):
            some = min(AT_ONCE, number - at)
            spent["accept"] += await self._timed(self._accept(some, keyed=keyed))
            claims: list[Claim] = []
            spent["claim"] += await self._timed(self._claim(some, claims))
            spent["commit"] += await self._timed(self._bought(claims))
        await self._forget_answers()
        return {name: took / number for name, took in spent.items()}

    async def _timed(self, work: Coroutine[Any, Any, None]) -> float:
        before = await redis_cpu(self.redis)
        await work
        return await redis_cpu(self.redis) - before

    async def _accept(self, number: int, *, keyed: bool) -> None:
        edits = [self.edit() for _ in range(number)]
        for at in range(0, number, ACCEPTS_AT_ONCE):
            await asyncio.gather(*(self._accept_one(edit, keyed=keyed) for edit in edits[at : at + ACCEPTS_AT_ONCE]))

    async def _accept_one(self, edit: Edit, *, keyed: bool) -> None:
        """As often as it takes: a busy machine may answer later than the API waits, and the id makes it one edit."""
        key = Idempotency(key=str(UUID(int=next(self._tasks))), fingerprint="0" * 64) if keyed else None
        while True:
            try:
                await self.repository.accept(edit, idempotency=key, max_queued=10**7)
            except (AcceptUnknown, Unavailable):
                continue
            return

    async def _claim(self, number: int, claims: list[Claim]) -> None:
        while len(claims) < number:
            claims += (await self.schedule.claim_submit(min(CLAIMED, number - len(claims)), lease=LEASE)).claims

    async def _bought(self, claims: Sequence[Claim]) -> None:
        await asyncio.gather(
            *(
                self.outcomes.bought(
                    claim.id, attempt=1, task_id=str(UUID(int=next(self._tasks), version=4)), how="answer"
                )
                for claim in claims
            )
        )

    async def _settled(self) -> None:
        """Until a table that has grown has been moved into its new place: that is of the growth."""
        while True:
            told = await self.redis.info("memory")
            if not told.get("mem_overhead_db_hashtable_rehashing", 0):
                return
            await asyncio.sleep(0.1)

    async def _forget_answers(self) -> None:
        """Answers of claims are kept for 30 s: that is of the rate, and not of what is in flight."""
        keys = [key async for key in self.redis.scan_iter(match=f"{NAMESPACE}:claim:*", count=10_000)]
        for at in range(0, len(keys), 1000):
            await self.redis.unlink(*keys[at : at + 1000])


async def redis_cpu(redis: Redis) -> float:
    """Microseconds of CPU that Redis' main thread has spent; other programs stretch the time of a script, not that."""
    return (await spent(redis))["cpu"]
