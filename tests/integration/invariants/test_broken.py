"""Each rule is broken on purpose, by hand, in the real Valkey: the checker finds it and names it."""

from redis.asyncio import ConnectionPool, Redis

from tests.integration.invariants.conftest import System
from tests.integration.invariants.damages import CASES


async def test_whatever_is_broken_is_found(system: System) -> None:
    """One system for all: what each damage changed is put back."""
    later = (await system.rounds.now() + 1800) * 1000  # however long this takes, nobody is late meanwhile
    for step, edit_id in (("submit", system.submitting), ("poll", system.processing), ("store", system.storing)):
        await system.redis.zadd(system.key("due", step), {edit_id: later})
    kept = await everything(system)
    missed = {}
    for name, (rule, damage, said) in CASES.items():
        subject = await damage(system)
        report = await system.check(within_redis=True)
        found = [example for example in report.results[rule].examples if subject in example.subject]
        if not any(said in example.said for example in found):
            missed[name] = str(report)
        await put_back(system, kept)
    assert missed == {}
    assert not (await system.check()).broken


async def everything(system: System) -> dict[str, tuple[bytes, int]]:
    bare = Redis.from_pool(ConnectionPool.from_url(system.rounds.clients.settings.redis_url or ""))
    names = [name async for name in bare.scan_iter()]
    ttls = {name: await bare.pttl(name) for name in names}
    dumps = {name: await bare.dump(name) for name in names}
    await bare.aclose()
    return {name: (dump, max(0, ttls[name])) for name, dump in dumps.items() if dump}  # some end by themselves


async def put_back(system: System, kept: dict[str, tuple[bytes, int]]) -> None:
    await system.redis.flushdb()
    for name, (content, ttl) in kept.items():
        await system.redis.restore(name, ttl, content)
