"""The core on both engines: a real Valkey and, where it is installed, Debian's redis-server."""

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
import redis as redis_sync

from edits.connection import connect
from tests.integration.edits.core import Core

_namespaces = itertools.count(1)


@pytest.fixture(params=["valkey_port", pytest.param("redis_server_port", marks=pytest.mark.redis_server)])
def engine_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A server of its own kind, empty, with no limit on its memory."""
    port: int = request.getfixturevalue(request.param)
    with redis_sync.Redis(port=port) as client:
        client.flushall()
        yield port
        client.config_set("maxmemory", 0)


@pytest.fixture
async def core(engine_port: int) -> AsyncIterator[Core]:
    redis = connect(f"redis://127.0.0.1:{engine_port}/0")
    try:
        yield Core(redis, f"n{next(_namespaces)}")
    finally:
        await redis.aclose(close_connection_pool=True)


@pytest.fixture
def busy(core: Core) -> Core:
    """The core without the checks after each script, for tests that make many calls, or calls at once."""
    core.scripts.watching = False
    return core
