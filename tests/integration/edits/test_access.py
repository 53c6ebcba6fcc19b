"""A Redis user that lacks a right, a namespace of another program, a server without writes: each named in words."""

import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis as redis_sync
from redis.asyncio import Redis

from edits.db import access, checks
from edits.db.admission import Caps
from edits.db.connection import connect
from edits.db.repository import EditRepository
from edits.db.sender import FOLDER, Scripts
from edits.errors import RedisUnfit, Unavailable
from tests.factories import make_edit
from tests.integration.edits.core import Core

KEYS, CHANNELS, RIGHTS = "~retouch:*", "&retouch:*", access.RIGHTS.split()
PIDBOX = "&retouch:/7.celery.pidbox"
LEAST = [KEYS, CHANNELS, *RIGHTS]


@pytest.fixture
def admin(engine_port: int) -> Iterator[redis_sync.Redis]:
    with redis_sync.Redis(port=engine_port, db=7, decode_responses=True) as client:
        yield client
        client.execute_command("ACL", "DELUSER", "app")
        client.flushdb()


@pytest.fixture
async def user(admin: redis_sync.Redis, engine_port: int) -> AsyncIterator[Callable[..., Redis]]:
    """A connection as the user `app`, which has just these rights."""
    made: list[Redis] = []

    def having(*rights: str) -> Redis:
        admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">word", *rights)
        made.append(connect(f"redis://app:word@127.0.0.1:{engine_port}/7"))
        return made[-1]

    yield having
    for redis in made:
        await redis.aclose()


async def refusal(redis: Redis, **options: Any) -> str:
    with pytest.raises(RedisUnfit) as refused:
        await access.require(redis, "retouch", **options)
    return str(refused.value)


async def test_the_documented_rights_are_enough(user: Callable[..., Redis]):
    await checks.require_usable(user(*LEAST), "retouch")
    await access.require(user(*LEAST, PIDBOX), "retouch", setting=access.BROKER)


@pytest.mark.parametrize(
    ("rights", "denied"),
    [
        ([KEYS, *RIGHTS], "its channels"),
        (["resetchannels", "~*", "+@all"], "its channels"),
        (["~other:*", CHANNELS, *RIGHTS], "its keys"),
        ([*LEAST, "-set"], "SET"),
        ([*LEAST, "-get"], "GET"),
        ([*LEAST, "-evalsha", "-hset"], "EVALSHA, HSET"),
        ([*LEAST, "-script|load"], "SCRIPT"),
        ([*LEAST, "-subscribe"], "SUBSCRIBE"),
        ([*LEAST, "-info"], "INFO"),
    ],
    ids=["keys alone", "no channels", "other keys", "set", "get", "two", "scripts", "subscribe", "info"],
)
async def test_a_missing_right_is_named_with_the_line_that_grants_it(
    user: Callable[..., Redis], admin: redis_sync.Redis, rights: list[str], denied: str
):
    redis = user(*rights)
    with pytest.raises(RedisUnfit) as refused:
        await checks.require_usable(redis, "retouch")
    assert f"RETOUCH_REDIS_URL: the Redis user may not use {denied}; grant it: ACL SETUSER app " in str(refused.value)
    admin.execute_command(*str(refused.value).partition("grant it: ")[2].split())
    await checks.require_usable(redis, "retouch")


async def test_what_celery_needs_beside_it_is_named_for_the_broker(user: Callable[..., Redis]):
    said = await refusal(user(*LEAST), setting=access.BROKER)
    assert said.startswith("RETOUCH_BROKER_URL: the Redis user may not use its channels; grant it: ")
    assert PIDBOX in said.split()


async def test_trying_changes_nothing_but_the_marker(user: Callable[..., Redis], admin: redis_sync.Redis):
    redis = user(*LEAST)
    for _ in range(2):
        await access.require(redis, "retouch")
    assert set(admin.keys()) == {"retouch:marker", "retouch:mark"}
    assert admin.get("retouch:marker") == access.MARKER


def test_every_command_of_the_scripts_is_tried():
    used = {name for file in FOLDER.glob("*.lua") for name in re.findall(r"redis\.call\('(\w+)'", file.read_text())}
    tried = {line.split()[0] for line in (*access.ON_MARKER, *access.OTHERS)} | {"SET", "GET"}
    assert used <= tried


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("retouch 2", "a release with another format of keys uses this namespace"),
        ("queue", "another program uses the key retouch:marker"),
        ({"a": "hash"}, "another program uses the key retouch:marker"),
    ],
    ids=["another format", "another text", "another type"],
)
async def test_a_namespace_of_another_program_or_format_is_refused(
    user: Callable[..., Redis], admin: redis_sync.Redis, value: Any, why: str
):
    if isinstance(value, dict):
        admin.hset("retouch:marker", mapping=value)
    else:
        admin.set("retouch:marker", value)
    before = admin.dump("retouch:marker") if isinstance(value, dict) else value
    said = await refusal(user(*LEAST))
    assert why in said
    assert "set another RETOUCH_NAMESPACE, or give Retouch a database of its own" in said
    assert (admin.dump("retouch:marker") if isinstance(value, dict) else admin.get("retouch:marker")) == before


@contextmanager
def configured(admin: redis_sync.Redis, name: str, value: int) -> Iterator[None]:
    admin.config_set(name, value)
    try:
        yield
    finally:
        admin.config_set(name, 0)


@pytest.mark.parametrize(
    ("name", "why"),
    [("min-replicas-to-write", "fewer replicas are connected"), ("maxmemory", "its memory is full")],
)
async def test_a_server_that_takes_no_writes_is_not_usable_and_says_why(
    user: Callable[..., Redis], admin: redis_sync.Redis, name: str, why: str
):
    redis = user(*LEAST)
    with configured(admin, name, 1), pytest.raises(Unavailable, match=why):
        await checks.require_usable(redis, "retouch")
    await checks.require_usable(redis, "retouch")


async def test_a_busy_server_is_not_usable_and_says_why(
    user: Callable[..., Redis], admin: redis_sync.Redis, engine_port: int
):
    redis = user(*LEAST)
    await checks.require_usable(redis, "retouch")
    admin.config_set("busy-reply-threshold", 1)
    with redis_sync.Redis(port=engine_port, single_connection_client=True) as killer:
        killer.ping()  # a connection that is made while the server is busy is refused
        endless = threading.Thread(target=_ended, args=(admin,))
        endless.start()
        try:
            with pytest.raises(Unavailable, match="blocked by a script"):
                await _used_until_refused(redis)
        finally:
            killer.script_kill()
            endless.join(30)
    admin.config_set("busy-reply-threshold", 5000)


async def _used_until_refused(redis: Redis) -> None:
    while True:
        await checks.require_usable(redis, "retouch")


def _ended(admin: redis_sync.Redis) -> None:
    with pytest.raises(redis_sync.ResponseError):
        admin.eval("while true do end", 0)


async def test_edits_refused_by_such_a_server_say_why(core: Core):
    core.scripts.watching = False
    await core.redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(Unavailable, match="fewer replicas are connected than its min-replicas-to-write requires"):
            await core.accept()
    finally:
        await core.redis.config_set("min-replicas-to-write", 0)


async def test_an_edit_of_a_user_without_rights_says_what_to_do(user: Callable[..., Redis]):
    redis = user(*LEAST, "-hset")
    repository = EditRepository(redis, namespace="retouch", scripts=Scripts(redis, "retouch"))
    with pytest.raises(Unavailable, match="The Redis user lacks a right; `retouch doctor` shows"):
        await repository.accept(make_edit(), None, Caps(9))
