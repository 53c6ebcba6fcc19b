"""What holds of all edits together: places in flight, and counters that are not behind the records."""

from collections.abc import Mapping

from redis.asyncio import Redis

from edits.db.fields import Field
from edits.db.keys import Key
from edits.invariants import facts
from edits.invariants.report import Violation


async def in_flight(redis: Redis, namespace: str, *, ceiling: int) -> int:
    """Edits that take a place in flight. Beyond the ceiling, those that a person retried (`hv`) do not count."""
    pipe = redis.pipeline(transaction=True)
    for name in ("submit", "adopt", "poll"):
        pipe.zrange(Key.DUE.of(namespace, name), 0, ceiling + 1000)
    found = [edit_id for ids in await pipe.execute() for edit_id in ids]
    if len(found) <= ceiling:
        return len(found)
    pipe = redis.pipeline(transaction=False)
    for edit_id in found:
        pipe.hget(Key.RECORD.of(namespace, edit_id), Field.MAY_REPURCHASE)
    return sum(retried != "1" for retried in await pipe.execute())


async def counters(redis: Redis, namespace: str, figures: Mapping[str, int]) -> tuple[list[Violation], int]:
    """The counters that are behind the records, and how many were compared. Counters only grow."""
    indexes = [name async for name in facts.names(redis, namespace) if name.startswith(f"{Key.INDEX}:")]
    pipe = redis.pipeline(transaction=True)
    for name in indexes:
        pipe.zcard(f"{namespace}:{name}")
    pipe.zcard(Key.RETENTION.of(namespace))
    pipe.hgetall(Key.STATS.of(namespace))
    *sizes, ended, stats = await pipe.execute()
    counted = {name: int(value) for name, value in stats.items() if value.lstrip("-").isdecimal()}
    counted["ended"] = sum(value for name, value in counted.items() if name.startswith("ended:"))
    least = {"accepted": sum(sizes), "ended": ended}
    if figures["edits"] <= sum(sizes):  # a walk over a changing system may meet a record twice
        least["bought"] = figures["tasks_bought"]
    behind = {name: number for name, number in least.items() if counted.get(name, 0) < number}
    return [
        Violation("counters", (name, ""), f"counted {counted.get(name, 0)}, and {number} are here")
        for name, number in behind.items()
    ], len(least)
