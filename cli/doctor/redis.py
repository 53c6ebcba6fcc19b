"""Checks of Redis and the broker: the servers, the rights of their users, lost data, open circuits."""

from collections.abc import Iterator

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from cli.doctor.results import Result, fail, ok, warn
from config import addresses
from config.settings import Settings
from edits.db import access as rights
from edits.db import checks
from edits.db import circuits as shared
from edits.db.connection import connect
from edits.errors import RedisUnfit, Unavailable
from edits.recovery import restoring

MEMORY_NEARLY_FULL = 0.85
FULL = "raise its maxmemory or RETOUCH_REDIS_MAX_MEMORY_USED, or lower RETOUCH_EDITS__HOT"


async def server(settings: Settings, state: checks.RedisState | Unavailable) -> list[Result]:
    shown = addresses.mask(settings.redis_url or "")
    if isinstance(state, Unavailable):
        return [fail("redis", f"{shown}: {state}", "start it, or correct RETOUCH_REDIS_URL; the API returns 503")]
    if state.fault:
        return [fail("redis", f"{shown}: {state.fault}", "every process refuses to start on it")]
    limits = f"of {_mib(state.max_bytes)}" if state.max_bytes else "without a maxmemory"
    cap = settings.redis_max_memory_used.of(state.max_bytes or state.host_bytes)
    limits += f", new edits up to {_mib(cap)}" if cap else ""
    said = f"{state.name} at {shown}, {state.policy}, {_mib(state.used_bytes)} used {limits}"
    if cap is None:
        do = "give it a maxmemory, or set RETOUCH_REDIS_MAX_MEMORY_USED to a size"
        first = warn("redis", f"{said}: its memory limit is not known", do)
    elif state.used_bytes >= cap:
        first = fail("redis", f"{said}: new edits are refused (503 queue_full)", FULL)
    elif state.used_bytes > MEMORY_NEARLY_FULL * cap:
        first = warn("redis", f"{said}: nearly full, then new edits are refused", FULL)
    else:
        first = ok("redis", said)
    return [first, _durability(state), *_replicas(settings, state)]


def _durability(state: checks.RedisState) -> Result:
    name = "redis.durability"
    if not state.appendonly:
        return warn(name, "appendonly is off: a crash loses the latest writes", "set appendonly yes")
    if state.appendfsync is None:
        return ok(name, "appendonly is on (its appendfsync is not readable)")
    if state.appendfsync != "always":
        said = f"appendfsync {state.appendfsync}: a crash of its host may lose the last second"
        return warn(name, said, "set appendfsync always; it costs little, since changes are written in batches")
    return ok(name, "appendonly, appendfsync always")


def _replicas(settings: Settings, state: checks.RedisState) -> Iterator[Result]:
    required, there = settings.redis_wait_replicas, state.replicas
    if there < required:
        said = f"{there} of {required} replicas required by RETOUCH_REDIS_WAIT_REPLICAS"
        yield fail("redis.replicas", said, "bring the replicas back, or lower the setting")
    elif there or required:
        yield ok("redis.replicas", f"{there} connected, {required} must confirm an accept")


async def access(settings: Settings, state: checks.RedisState | Unavailable) -> list[Result]:
    """Whether the Redis user has the rights that are needed, and the namespace is ours."""
    away = isinstance(state, Unavailable) and not isinstance(state.__cause__, NoPermissionError)
    if away or (isinstance(state, checks.RedisState) and state.fault):
        return []  # `redis` says so
    said = f"its user has all rights, and the namespace {settings.namespace} is ours"
    return [await _access("redis.access", rights.REDIS, settings.redis_url, settings.namespace, said)]


async def _access(name: str, setting: str, url: str | None, namespace: str, said: str) -> Result:
    try:
        async with connect(url or "") as client:
            await rights.require(client, namespace, setting=setting)
    except RedisUnfit as exc:
        why, _, do = str(exc).partition("; ")
        return fail(name, why, f"{do} (no process starts until then)")
    except Unavailable as exc:
        return fail(name, str(exc), "edits are refused (503) until then; those that were accepted wait")
    return ok(name, said)


async def broker(settings: Settings) -> list[Result]:
    shown = addresses.mask(settings.broker_url or "")
    try:
        async with connect(settings.broker_url or "") as client:
            state = await checks.look(client)
    except Unavailable as exc:
        return [fail("broker", f"{shown}: {exc}", "start it, or correct RETOUCH_BROKER_URL: workers need it")]
    if state.cluster or state.replica:
        what = "in cluster mode" if state.cluster else "a replica"
        return [fail("broker", f"{shown} is {what}, which Celery cannot use", "set RETOUCH_BROKER_URL to a master")]
    said = f"{state.name} at {shown}, its user has all rights"
    return [await _access("broker", rights.BROKER, settings.broker_url, settings.namespace, said)]


async def whole(client: Redis, namespace: str) -> list[Result]:
    """Whether Redis may lack its latest writes, and which paid tasks it does not know. Raises Unavailable."""
    state = await restoring.look(client, namespace)
    results = []
    if state.since:
        why = "and has lost its latest writes" if state.lost else "and may have lost its latest writes"
        said = f"restarted, restored or failed over {why}: edits queued at {state.since:%H:%M:%S} UTC wait"
        do = "it continues once the workers or the provider's history show what was bought (docs/operations.md)"
        results.append(warn("redis.whole", f"{said}; {state.awaited} workers have not reported since", do))
    if state.unknown:
        task, edit = state.unknown[0].split(" ")
        said = f"{len(state.unknown)} paid tasks of edits unknown to this Redis, such as {task} of {edit}"
        results.append(warn("redis.unknown", said, "send these edits again; the provider still has the results"))
    return results or [ok("redis.whole", "no write is missing")]


async def circuits(client: Redis, namespace: str) -> list[Result]:
    """The open circuits, and their next probes. Raises Unavailable."""
    results = []
    for name, outage in sorted((await shared.outages(client, namespace)).items()):
        said = f"{name} has failed since {outage.since:%H:%M:%S} UTC{f' ({outage.cause})' if outage.cause else ''}"
        do = f"nothing is lost; the next probe is at {outage.probe_at:%H:%M:%S} UTC or shortly after"
        results.append(warn("circuits", said, do))
    return results or [ok("circuits", "create, read, history, download and storage work")]


def _mib(number: int) -> str:
    return f"{number / 1024**2:,.0f} MiB"
