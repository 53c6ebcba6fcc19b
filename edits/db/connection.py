"""Connections to Redis. Every time limit and retry is set on purpose: the client's own wait 15 s on a hung server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis, Sentinel
from redis.asyncio.connection import BlockingConnectionPool, ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as TimedOut

from config.addresses import parse_redis
from edits.db.trouble import explain
from edits.errors import Unavailable

SOCKET_TIMEOUT = 1.5  # seconds; an answer of the API may take 2 in all
CONNECT_TIMEOUT = 1.0
CALL_TIMEOUT: Final = 1.6  # seconds: with Redis away every answer of the API is out within 2
LOST: Final = (Disconnected, TimedOut, InvalidResponse, ResponseError, OSError, TimeoutError)
"""Errors of a server that is away, or refuses the command. A wrong call of ours raises others."""


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Around calls of Redis that together take at most `CALL_TIMEOUT`. Raises Unavailable, which says why."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT):
            yield
    except LOST as exc:
        raise Unavailable(explain(exc)) from exc


def connect(url: str, *, socket_timeout: float | None = None, max_connections: int = 16) -> Redis:
    """A client for `redis://`, `rediss://`, `unix://` or `sentinel://host1,host2/master/db`. Nothing is sent yet."""
    socket_timeout = SOCKET_TIMEOUT if socket_timeout is None else socket_timeout
    options: dict[str, Any] = {
        "timeout": socket_timeout,  # seconds to wait for a free connection: a burst waits its turn instead of failing
        "socket_timeout": socket_timeout,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": max_connections,
        "decode_responses": True,
        "driver_info": None,  # else the library looks for its own version at each connection: 3 ms of CPU, two commands
    }
    if not url.startswith("unix:"):
        options |= {"socket_connect_timeout": CONNECT_TIMEOUT, "socket_keepalive": True}
    if urlsplit(url).scheme == "sentinel":
        return _behind_sentinels(url, options)
    return Redis.from_pool(_noticing_closed(BlockingConnectionPool.from_url(url, **options)))


def _noticing_closed(pool: ConnectionPool) -> ConnectionPool:
    """A write to a closed connection, a RuntimeError of uvloop, becomes a lost connection."""

    class Noticing(pool.connection_class):  # type: ignore[misc, name-defined] # TCP, TLS, Unix socket or Sentinel's
        async def send_packed_command(self, *command: Any, **options: Any) -> None:
            try:
                await super().send_packed_command(*command, **options)
            except RuntimeError as exc:
                raise Disconnected(str(exc)) from exc

    pool.connection_class = Noticing
    return pool


class _BlockingSentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Asks the sentinels where the master is, and lets a burst wait for its turn."""

    async def aclose(self) -> None:
        await super().aclose()
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


def _behind_sentinels(url: str, options: dict[str, Any]) -> Redis:
    address = parse_redis(url)
    username, password = address.credentials
    timeouts = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout")}
    client: Redis = Sentinel(address.hosts, sentinel_kwargs=timeouts).master_for(  # type: ignore[no-untyped-call] # redis-py's own
        address.master,
        connection_pool_class=_BlockingSentinelPool,
        db=address.database,
        username=username,
        password=password,
        **options,
    )
    _noticing_closed(client.connection_pool)
    return client
