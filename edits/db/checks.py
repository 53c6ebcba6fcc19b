"""Whether a Redis may keep edits, and what the worker processes say of themselves in it. Asking changes nothing.

All that is needed comes from INFO, which managed services leave open where CONFIG is closed.
"""

import time
from dataclasses import dataclass
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from edits.db import access, clock
from edits.db.access import BROKER, REDIS
from edits.db.connection import answering, connect
from edits.db.keys import Key
from edits.db.workers import Workers, workers_of
from edits.errors import RedisUnfit, Unavailable

log = structlog.get_logger()

LEAST_VERSION: Final = (7, 0)  # the first that reads the `#!lua` line of our scripts
POLICY: Final = "noeviction"


@dataclass(frozen=True, slots=True)
class RedisState:
    """A server as it shows itself. `version` is that of the Redis commands it speaks."""

    name: str  # such as "Valkey 9.1.2"
    version: tuple[int, int]
    cluster: bool
    policy: str
    replica: bool
    replicas: int
    appendonly: bool
    appendfsync: str | None  # None: it may not be asked
    used_bytes: int
    max_bytes: int  # 0: no limit
    host_bytes: int  # 0: it does not say
    ahead: float  # seconds by which its clock is ahead of this host's

    @property
    def fault(self) -> str | None:
        """Why it must not keep edits, and what to do; None when it may."""
        if self.version < LEAST_VERSION:
            return f"{self.name} is too old: use Redis 7.0 or newer, or Valkey"
        if self.cluster:
            return "it runs in cluster mode, and a change of an edit touches keys of several slots: use a single server"
        if self.replica:
            return "it is a replica and takes no writes: name its master, or use sentinel://"
        if self.policy != POLICY:
            return f"its maxmemory-policy {self.policy} may throw accepted edits away: set it to {POLICY}"
        return None


async def look(redis: Redis) -> RedisState:
    """Raises Unavailable."""
    async with answering():
        info: dict[str, Any] = await redis.info()
        try:
            asked = await redis.config_get("appendfsync")
        except ResponseError:
            asked = {}
        began = time.time()
        seconds, microseconds = await redis.time()
    half_way = (began + time.time()) / 2
    valkey = info.get("valkey_version")
    major, minor = str(info.get("redis_version", "0.0")).split(".")[:2]
    return RedisState(
        name=f"Valkey {valkey}" if valkey else f"Redis {info.get('redis_version', 'of unknown version')}",
        version=(int(major), int(minor)),
        cluster=bool(info.get("cluster_enabled", 0)),
        policy=str(info.get("maxmemory_policy", "unknown")),
        replica=info.get("role") == "slave",
        replicas=int(info.get("connected_slaves", 0)),
        appendonly=bool(info.get("aof_enabled", 0)),
        appendfsync=asked.get("appendfsync"),
        used_bytes=int(info.get("used_memory", 0)),
        max_bytes=int(info.get("maxmemory", 0)),
        host_bytes=int(info.get("total_system_memory", 0)),
        ahead=seconds + microseconds / 1_000_000 - half_way,
    )


async def workers(redis: Redis, namespace: str) -> Workers:
    """Raises Unavailable."""
    pipe = redis.pipeline(transaction=False)
    pipe.time()
    pipe.mget(Key.CLOCK.of(namespace), Key.TICK.of(namespace))
    pipe.zrange(Key.LIVE.of(namespace), 0, -1, withscores=True)
    pipe.hgetall(Key.WORKERS.of(namespace))
    async with answering():
        server, kept, live, registered = await pipe.execute()
    now = clock.reckon(server, *kept)
    return workers_of([registered.get(process, "").split() for process, until in live if until > now])


async def require_fit(redis: Redis) -> None:
    """Raises RedisUnfit for a server that must not keep edits, Unavailable if it cannot be asked."""
    fault = (await look(redis)).fault
    if fault:
        raise RedisUnfit(f"{REDIS}: this server is refused: {fault}")


async def require_usable(redis: Redis, namespace: str) -> None:
    """Both. A user that may not even read INFO is told all rights that it lacks."""
    try:
        await require_fit(redis)
    except Unavailable as exc:
        if not isinstance(exc.__cause__, NoPermissionError):
            raise
    await access.require(redis, namespace)


async def refuse_unfit(redis_url: str, namespace: str, *, broker_url: str | None = None) -> None:
    """For a process that starts. Raises RedisUnfit; a server that does not answer yet is waited for later."""
    for setting, url in ((REDIS, redis_url), (BROKER, broker_url)):
        if url is None:
            continue
        try:
            async with connect(url) as redis:
                if setting == REDIS:
                    await require_usable(redis, namespace)
                else:
                    await access.require(redis, namespace, setting=setting)
        except RedisUnfit:
            raise
        except Unavailable as exc:
            if isinstance(exc.__cause__, AuthenticationError):
                raise RedisUnfit(f"{setting}: {exc}") from exc
            log.warning("redis.not_checked", setting=setting, reason=str(exc))
