"""How long a worker may act on a claim, counted from before the claim, so that a frozen process acts on nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

import structlog

from edits.db.clock import boot_time
from edits.db.sender import ScriptError, ScriptRefused

log = structlog.get_logger()

RETRY_COMMIT: Final = 0.3  # seconds

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Lease:
    began: float
    length: float  # seconds, margin already taken off

    @classmethod
    def starting(cls, length: timedelta, *, margin: timedelta) -> "Lease":
        """Call it before the claim goes out."""
        return cls(began=boot_time(), length=(length - margin).total_seconds())

    @property
    def age(self) -> float:
        return boot_time() - self.began

    @property
    def over(self) -> bool:
        return self.age >= self.length

    async def decide(self, commit: Callable[[], Awaitable[_T]]) -> _T | None:
        """Commits a decision, again while Redis is away, until the lease ends; then it is dropped: None."""
        while True:
            try:
                return await commit()
            except ScriptRefused:
                raise
            except ScriptError as exc:
                if self.over:
                    log.warning("decision.dropped", error=str(exc))
                    return None
                await asyncio.sleep(RETRY_COMMIT)


async def hold(commit: Callable[[], Awaitable[_T]], *, gone: Callable[[], bool]) -> _T | None:
    """Commits a fact: kept and tried again until Redis takes it or the process is `gone` (then adoption finds it)."""
    while True:
        try:
            return await commit()
        except ScriptError as exc:
            if gone():
                log.warning("fact.dropped", error=str(exc))
                return None
            await asyncio.sleep(RETRY_COMMIT)
