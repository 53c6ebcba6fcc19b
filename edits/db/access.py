"""Tries what our processes do as this Redis user, and claims the namespace for this program by a marker key.

The marker is a string: commands for other types fail on it by type and change nothing, so each can be tried.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from edits.db.connection import answering
from edits.db.keys import Key
from edits.db.trouble import code_of
from edits.errors import RedisUnfit

MARKER: Final = "retouch 1"  # this program, and the format of its keys

RIGHTS: Final = "+@read +@write +@pubsub +@scripting +@transaction +@connection -@admin -@dangerous +info +time +wait"
"""Of every process, for the records and for the broker (docs/operations.md)."""

REDIS: Final = "RETOUCH_REDIS_URL"
BROKER: Final = "RETOUCH_BROKER_URL"
KEYS: Final = "its keys"
CHANNELS: Final = "its channels"
GRANTED_AS: Final = {"SCRIPT": "script|load"}

SCRIPT: Final = "#!lua\nreturn redis.call('EXISTS', KEYS[1])"
ON_MARKER: Final = (
    "MGET", "EXISTS", "TYPE", "PTTL", "HGET f", "HGETALL", "HMGET f", "HLEN", "LRANGE 0 0", "LLEN", "SMEMBERS", "ZCARD",
    "ZCOUNT 0 0", "ZSCORE m", "ZSCAN 0", "ZRANGE 0 0", "ZREVRANGE 0 0", "ZRANGEBYSCORE 0 0", "ZREVRANGEBYSCORE 0 0",
    "ZREVRANGEBYLEX + -", "HSET f v", "HSETNX f v", "HDEL f", "HINCRBY f 1", "INCR", "INCRBY 1", "DECR", "LPUSH v",
    "RPUSH v", "LTRIM 0 0", "BRPOP 1", "SADD m", "SREM m", "ZADD 0 m", "ZINCRBY 1 m", "ZREM m", "ZREMRANGEBYRANK 0 0",
    "ZREMRANGEBYSCORE 0 0", "PERSIST",
)  # fmt: skip
"""Commands of scripts, processes and Celery, by name and what follows the key. None of them changes the marker."""

OTHERS: Final = (
    "PING", "TIME", "INFO server", "WAIT 0 0", "SCAN 0", "PUBLISH {ns}:ended:none -", "EVALSHA {sha} 1 {ns}:",
    "DEL {ns}:marker:none", "PEXPIRE {ns}:marker:none 1", "COPY {ns}:marker:none {ns}:marker", "MSET {ns}:mark 0",
)  # fmt: skip
"""None of these changes anything but `mark`, whose value says nothing."""


async def require(redis: Redis, namespace: str, *, setting: str = REDIS) -> None:
    """Claims the namespace and tries each right; for the broker also those of Celery's remote control.

    Raises RedisUnfit, which begins with `setting`, for a user that lacks a right or a namespace of another program;
    Unavailable if Redis cannot be used now.
    """
    async with answering():
        await _require(redis, namespace, setting)


async def _require(redis: Redis, namespace: str, setting: str) -> None:
    marker = Key.MARKER.of(namespace)
    pipe = redis.pipeline(transaction=False)
    pipe.set(marker, MARKER, nx=True)
    pipe.get(marker)
    claimed, found = await pipe.execute(raise_on_error=False)
    denied = {*_denied(["SET", "GET"], [claimed, found])}
    if not denied:
        _require_ours(marker, found, setting)
        _raise_passing([claimed, found])
    # Without a marker the commands on it could change something.
    denied |= {*await _denied_commands(redis, namespace, () if denied else ON_MARKER)}
    denied |= {*await _denied_channels(redis, namespace, broker=setting == BROKER)}
    if denied:
        grant = _acl_line(redis, namespace, denied, broker=setting == BROKER)
        raise RedisUnfit(f"{setting}: the Redis user may not use {', '.join(sorted(denied))}; grant it: {grant}")


def _acl_line(redis: Redis, namespace: str, denied: Collection[str], *, broker: bool) -> str:
    """The Redis command by which an operator grants what is denied."""
    options: dict[str, Any] = redis.connection_pool.connection_kwargs
    grants = [f"~{namespace}:*"] if KEYS in denied else []
    if CHANNELS in denied:
        grants.append(f"&{namespace}:*")
        grants += [f"&{_pidbox(redis, namespace)}"] if broker else []
    commands = sorted(set(denied) - {KEYS, CHANNELS})
    grants += [RIGHTS] if "SET" in commands else [f"+{GRANTED_AS.get(name, name.lower())}" for name in commands]
    return f"ACL SETUSER {options.get('username') or 'default'} {' '.join(grants)}"


def _pidbox(redis: Redis, namespace: str) -> str:
    """Celery subscribes to this channel as a pattern, which an ACL grants only word for word."""
    return f"{namespace}:/{redis.connection_pool.connection_kwargs.get('db') or 0}.celery.pidbox"


def _require_ours(marker: str, found: object, setting: str) -> None:
    if found == MARKER or (found is None) or (isinstance(found, Exception) and "WRONGTYPE" not in str(found)):
        return
    why = f"another program uses the key {marker}"
    if isinstance(found, str) and found.startswith("retouch "):
        why = f"{marker} is {found!r}: a release with another format of keys uses this namespace ({MARKER!r} here)"
    raise RedisUnfit(f"{setting}: {why}; set another RETOUCH_NAMESPACE, or give Retouch a database of its own")


async def _denied_commands(redis: Redis, namespace: str, on_marker: Iterable[str]) -> Iterator[str]:
    sha = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
    commands = [["SCRIPT", "LOAD", SCRIPT], *[line.format(ns=namespace, sha=sha).split() for line in OTHERS]]
    for line in on_marker:
        name, *rest = line.split()
        commands.append([name, Key.MARKER.of(namespace), *rest])
    pipe = redis.pipeline(transaction=False)
    for command in commands:
        pipe.execute_command(*command)
    answers = await pipe.execute(raise_on_error=False)
    _raise_passing(answers)
    return _denied([command[0] for command in commands], answers)


async def _denied_channels(redis: Redis, namespace: str, *, broker: bool) -> Iterator[str]:
    async with redis.pubsub() as pubsub:
        try:
            await pubsub.subscribe(Key.ENDED.of(namespace))
            if broker:
                await pubsub.psubscribe(_pidbox(redis, namespace))
            for _ in range(1 + broker):
                await pubsub.get_message(timeout=1.0)
        except NoPermissionError as exc:
            return _denied(["SUBSCRIBE"], [exc])
    return iter(())


def _denied(commands: Iterable[str], answers: Iterable[object]) -> Iterator[str]:
    """What may not be used: all keys or channels of the namespace, or a command."""
    for command, answer in zip(commands, answers, strict=True):
        if isinstance(answer, NoPermissionError):
            yield CHANNELS if "channel" in str(answer) else KEYS if "key" in str(answer) else command


def _raise_passing(answers: Iterable[object]) -> None:
    """An error that is no lack of a right and no wrong type: Redis cannot be used now."""
    for answer in answers:
        passing = not isinstance(answer, ResponseError) or code_of(answer) is not None
        if isinstance(answer, Exception) and passing and not isinstance(answer, NoPermissionError):
            raise answer
