"""Connections to Redis: a burst waits for its turn, a full pool never waits for long, sentinels lead to the master."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis as redis_sync
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from edits.db.admission import Caps
from edits.db.connection import connect
from edits.db.repository import EditRepository
from tests.factories import make_edit
from tests.parts.patience import LONG
from tests.parts.valkey import free_port, server_binary

BURST = 300
MOST = 4


@contextlib.asynccontextmanager
async def client_of(url: str, *, socket_timeout: float = LONG) -> AsyncIterator[Redis]:
    redis = connect(url, max_connections=MOST, socket_timeout=socket_timeout)
    try:
        yield redis
    finally:
        await redis.aclose()


async def clients_at(redis: Redis) -> int:
    """Connections of the client; a sentinel has some of its own."""
    listed = await redis.client_list(_type="normal")
    return len([client for client in listed if client["lib-name"].startswith("redis-py")])


@pytest.fixture
def sentinel_url(valkey_port: int, redis_url: str, tmp_path: Path) -> Iterator[str]:
    """A sentinel that knows the session's server as `main`."""
    port, settings = free_port(), tmp_path / "sentinel.conf"
    settings.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {tmp_path}\nsentinel monitor main 127.0.0.1 {valkey_port} 1\n"
    )
    process = subprocess.Popen([server_binary(), str(settings), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 90
        while not _knows_the_master(port):
            assert time.monotonic() < until, "the sentinel did not start"
            time.sleep(0.02)
        yield f"sentinel://127.0.0.1:{port}/main/{redis_url.rpartition('/')[2]}"
    finally:
        process.terminate()
        process.wait(90)


def _knows_the_master(port: int) -> bool:
    with redis_sync.Redis(port=port, socket_timeout=1, decode_responses=True) as sentinel:
        try:
            return bool(sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"))
        except (redis_sync.ConnectionError, redis_sync.TimeoutError):
            return False


@pytest.fixture(params=["direct", "sentinel"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("redis_url" if request.param == "direct" else "sentinel_url"))


async def test_a_burst_of_reads_waits_for_its_turn(url: str):
    async with client_of(url) as redis:
        repository = EditRepository(redis, namespace="burst")
        edit = make_edit()
        await repository.accept(edit, None, Caps(10))
        others = await clients_at(redis) - 1
        reads = [repository.newest(edit.tenant, before=None, limit=10) for _ in range(BURST)]
        reads += [repository.get(edit.id) for _ in range(BURST)]
        found = await asyncio.gather(*reads, *(repository.gate() for _ in range(BURST)))
        assert found[:BURST] == [[edit.id]] * BURST
        assert {kept.id for kept in found[BURST : 2 * BURST]} == {edit.id}
        assert await clients_at(redis) <= others + MOST


async def test_a_pool_that_stays_full_is_given_up_in_time(redis_url: str):
    async with client_of(redis_url, socket_timeout=0.2) as redis, contextlib.AsyncExitStack() as stack:
        for number in range(MOST):
            listener = await stack.enter_async_context(redis.pubsub())
            await listener.subscribe(f"channel-{number}")
        began = time.monotonic()
        with pytest.raises(RedisConnectionError):
            await asyncio.wait_for(redis.ping(), LONG)
        assert time.monotonic() - began > 0.1


async def test_who_gives_up_waiting_takes_no_connection_with_him(redis_url: str):
    async with client_of(redis_url) as redis:
        for _ in range(20):
            calls = [asyncio.create_task(redis.ping()) for _ in range(5 * MOST)]
            await asyncio.sleep(0)
            for call in calls[::2]:
                call.cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert answers[1::2] == [True] * (len(calls) // 2)
        assert await asyncio.gather(*(redis.ping() for _ in range(5 * MOST))) == [True] * (5 * MOST)


async def test_the_password_behind_sentinels_is_decoded_as_in_every_other_address(
    sentinel_url: str, valkey_port: int
) -> None:
    with redis_sync.Redis(port=valkey_port) as admin:
        admin.execute_command("ACL", "SETUSER", "a:b", "on", ">p@ss/wörd%", "~*", "&*", "+@all")
        try:
            async with client_of(sentinel_url.replace("//", "//a%3Ab:p%40ss%2Fw%C3%B6rd%25@")) as redis:
                assert await redis.acl_whoami() == "a:b"
        finally:
            admin.acl_deluser("a:b")
