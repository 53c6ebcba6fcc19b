"""What kind of value each key of ours holds, and which of them another program has written: it holds another kind.

Scripts refuse such a key before their first write, so nothing is lost; edits wait until an operator has moved it.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from redis.asyncio import Redis

from edits.db.circuits import OPERATIONS
from edits.models import Step

KINDS: Final = {
    "abandoned": "zset", "awaited": "zset", "beat": "string", "ceilings": "hash", "claim": "string",
    "clock": "string", "doubt": "hash", "due": "zset", "e": "hash",
    "expiring": "zset", "ext": "zset", "fresh": "zset", "gate": "hash", "i": "string", "idem": "string",
    "idle": "zset", "index": "zset", "lags": "zset", "limit": "hash", "live": "zset", "mark": "string",
    "pauses": "list", "purge": "hash", "q": "zset", "queued": "string", "retention": "zset", "served": "zset",
    "stats": "hash", "t": "string", "task": "string", "tenants": "zset", "tick": "string", "took": "list",
    "unknown": "zset", "vtime": "string", "weights": "hash", "workers": "hash", "x": "hash",
}  # fmt: skip
"""By the first part of a key's name, as in the map of `repository.py`."""

_OF_ONE: Final = {
    "beat", "claim", "due", "e", "ext", "fresh", "i", "idem", "idle", "index", "limit", "pauses", "q", "t",
    "task", "took", "x",
}  # fmt: skip
"""Those that have a second part."""

SHARED: Final = (
    *sorted(KINDS.keys() - _OF_ONE),
    *(f"due:{line}" for line in ("submit", "adopt", "poll", "store", "manifest")),
    *(f"idle:{step}" for step in Step),
    *(f"{name}:{operation}" for name in ("limit", "pauses") for operation in OPERATIONS),
    "q:default", "index:default", "took:28",
)  # fmt: skip
"""What all edits go through, and the lines of the tenant and of the steps that are taken where none are named."""

MOVE_IT: Final = "rename that key, or give Retouch another RETOUCH_NAMESPACE or a database of its own"


class Foreign(NamedTuple):
    key: str
    found: str
    wanted: str

    @property
    def said(self) -> str:
        return f"holds a {self.found} of another program where our {self.wanted} should be"

    def __str__(self) -> str:
        return f"{self.key} {self.said}"


async def foreign(redis: Redis, namespace: str, names: Sequence[str] = SHARED) -> list[Foreign]:
    """Those of the names, without the namespace, that hold what is not ours. Raises RedisError or OSError."""
    pipe = redis.pipeline(transaction=False)
    for name in names:
        pipe.type(f"{namespace}:{name}")
    return list(_foreign(namespace, names, map(str, await pipe.execute())))


def _foreign(namespace: str, names: Sequence[str], types: Iterable[str]) -> Iterable[Foreign]:
    for name, found in zip(names, types, strict=True):
        wanted = KINDS.get(name.partition(":")[0])
        if wanted is not None and found not in {wanted, "none"}:
            yield Foreign(f"{namespace}:{name}", found, wanted)
