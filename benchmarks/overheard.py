"""Who asks Redis for what, overheard by MONITOR: what a script calls counts for the script."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Redis

from edits.db.sender import SCRIPTS

CELERY: Final = "Celery and connections"
ASKERS: Final = {
    "heartbeat": "heartbeats",
    "tick": "looks at the clock",
    "link": "links of chains",
    **dict.fromkeys(("claim_submit", "claim_due", "abandoned", "evict", "purge"), "claims and sweeps"),
}
"""By the name of their script; what calls none of ours is Celery's, or keeps a connection."""

_NAMES: Final = {script.sha: script.name for script in SCRIPTS.values()}


@dataclass(slots=True)
class Overheard:
    calls: int = 0
    """By clients, without what their scripts call."""

    by: Counter[str] = field(default_factory=Counter)
    """All commands, those that scripts call included, by who asked."""

    _asker: str = CELERY

    def note(self, client: str, command: str) -> None:
        """One line. A script is named just before what it calls, as nothing else runs meanwhile."""
        if client != "lua":
            words = command.split(maxsplit=2)
            script = _NAMES.get(words[1]) if words[0].upper() == "EVALSHA" and len(words) > 1 else None
            self._asker = CELERY if script is None else ASKERS.get(script, script)
            self.calls += 1
        self.by[self._asker] += 1


async def overhear(redis: Redis, *, seconds: float) -> Overheard:
    heard = Overheard()
    async with redis.monitor() as monitor:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for told in monitor.listen():
                    heard.note(told["client_type"], told["command"])
    return heard
