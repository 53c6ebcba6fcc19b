"""What is true of all edits together: how many places are taken, and that what is here was counted."""

from collections.abc import Mapping

from redis.asyncio import Redis

from edits.db.fields import Field
from edits.db.keys import Key
from edits.invariants import members


async def taken(redis: Redis, ns: str, *, enough: int) -> int:
    """Places taken by a claim; an edit that a person asked for again (`hv`) may be beyond the ceiling.

    Up to `enough` such edits count, too.
    """
    pipe = redis.pipeline(transaction=True)
    for name in ("submit", "adopt", "poll"):
        pipe.zrange(Key.DUE.of(ns, name), 0, enough + 1000)
    found = [edit_id for ids in await pipe.execute() for edit_id in ids]
    if len(found) <= enough:
        return len(found)
    pipe = redis.pipeline(transaction=False)
    for edit_id in found:
        pipe.hget(Key.RECORD.of(ns, edit_id), Field.MAY_REPURCHASE)
    return sum(told != "1" for told in await pipe.execute())


async def doubts(redis: Redis, ns: str, figures: Mapping[str, int]) -> tuple[list[tuple[str, str]], int]:
    """The counters that say too little, each with what is wrong, and how many were held against what is here.

    They only grow, and what is here was counted: so they are never less than what is here.
    """
    tenants = [name async for names in members.names(redis, ns) for name in names if name.startswith(f"{Key.INDEX}:")]
    pipe = redis.pipeline(transaction=True)
    for name in tenants:
        pipe.zcard(f"{ns}:{name}")
    pipe.zcard(Key.RETENTION.of(ns))
    pipe.hgetall(Key.STATS.of(ns))
    *sizes, ended, stats = await pipe.execute()
    here = sum(sizes)
    told = {name: int(value) for name, value in stats.items() if value.lstrip("-").isdecimal()}
    told["ended"] = sum(value for name, value in told.items() if name.startswith("ended:"))
    least = {"accepted": here, "ended": ended}
    if figures["edits"] <= here:  # a walk over a changing system may meet a record twice
        least["bought"] = figures["tasks_bought"]
    wrong = [
        (name, f"counted {told.get(name, 0)}, and {number} are here")
        for name, number in least.items()
        if told.get(name, 0) < number
    ]
    return wrong, len(least)
