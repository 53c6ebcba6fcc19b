"""What `doctor` looks at outside of this process, one coroutine each: it asks, judges, and never shows a secret."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime

import httpx
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from cli.doctor.results import Finding, fail, ok, warn
from config import addresses
from config.settings import Settings
from edits.db import checks
from edits.db import circuits as shared_circuits
from edits.db.connection import connect
from edits.errors import RedisUnfit, Unavailable
from edits.models import PRICE_UNITS, UNITS_PER_USD
from edits.network.addresses import is_private
from edits.recovery import restoring
from edits.storage.backends import StorageError
from edits.storage.links import Links
from edits.storage.store import open_storage
from qubico.client import USER_AGENT, QubicoClient
from qubico.errors import AccountBlocked, QubicoError

ANSWER_WITHIN = 4.0  # seconds for one question
CLOCK_TOLERANCE = 2.0  # seconds: the provider's Date counts whole ones
CLOCK_REFUSED = 60.0  # seconds from which signatures begin to be refused
MEMORY_NEARLY_FULL = 0.85
FULL = "raise its maxmemory or RETOUCH_REDIS_MAX_MEMORY_USED, or lower RETOUCH_EDITS__HOT"
FEW_EDITS = 100  # a balance for fewer is worth a warning
PRICE = Decimal(PRICE_UNITS) / UNITS_PER_USD


async def redis(settings: Settings, state: checks.RedisState | Unavailable) -> list[Finding]:
    shown = addresses.mask(settings.redis_url or "")
    if isinstance(state, Unavailable):
        return [fail("redis", f"{shown}: {state}", "start it, or set RETOUCH_REDIS_URL right; the API answers 503")]
    if state.fault:
        return [fail("redis", f"{shown}: {state.fault}", "every process refuses to start on it")]
    limits = f"of {_mib(state.max_bytes)}" if state.max_bytes else "and no limit of its own"
    cap = settings.redis_max_memory_used.of(state.max_bytes or state.host_bytes)
    limits += f", new edits up to {_mib(cap)}" if cap else ""
    said = f"{state.name} at {shown}, {state.policy}, {_mib(state.used_bytes)} used {limits}"
    if cap is None:
        do = "give it a maxmemory, or set RETOUCH_REDIS_MAX_MEMORY_USED to a size"
        first = warn("redis", f"{said}: it does not say how much memory it may use", do)
    elif state.used_bytes >= cap:
        first = fail("redis", f"{said}: new edits are refused (503 queue_full)", FULL)
    elif state.used_bytes > MEMORY_NEARLY_FULL * cap:
        first = warn("redis", f"{said}: nearly full, then new edits are refused", FULL)
    else:
        first = ok("redis", said)
    return [first, _durability(state), *_replicas(settings, state)]


def _durability(state: checks.RedisState) -> Finding:
    name = "redis.durability"
    if not state.appendonly:
        return warn(name, "appendonly is off: what it accepted last is lost when it dies", "set appendonly yes")
    if state.appendfsync is None:
        return ok(name, "appendonly is on (its appendfsync may not be asked for)")
    if state.appendfsync != "always":
        said = f"appendfsync {state.appendfsync}: a crash of its host may lose the last second"
        return warn(name, said, "set appendfsync always; it costs little, as changes go in batches")
    return ok(name, "appendonly, appendfsync always")


def _replicas(settings: Settings, state: checks.RedisState) -> Iterator[Finding]:
    wanted, there = settings.redis_wait_replicas, state.replicas
    if there < wanted:
        said = f"{there} of the {wanted} replicas that RETOUCH_REDIS_WAIT_REPLICAS asks for"
        yield fail("redis.replicas", said, "bring the replicas back, or lower the setting")
    elif there or wanted:
        yield ok("redis.replicas", f"{there} connected, {wanted} must have an accept before it counts")


async def access(settings: Settings, state: checks.RedisState | Unavailable) -> list[Finding]:
    """Whether the Redis user has the rights that are needed, and the namespace is ours."""
    away = isinstance(state, Unavailable) and not isinstance(state.__cause__, NoPermissionError)
    if away or (isinstance(state, checks.RedisState) and state.fault):
        return []  # `redis` says so
    said = f"its user has all rights, and the namespace {settings.namespace} is ours"
    return [await _access("redis.access", checks.REDIS, settings.redis_url, settings.namespace, said)]


async def _access(name: str, setting: str, url: str | None, namespace: str, said: str) -> Finding:
    client: Redis = connect(url or "")
    try:
        await checks.require_access(client, namespace, setting=setting, broker=setting == checks.BROKER)
    except RedisUnfit as exc:
        why, _, do = str(exc).partition("; ")
        return fail(name, why, f"{do} (no process starts until then)")
    except Unavailable as exc:
        return fail(name, str(exc), "edits are refused (503) until then; those that were accepted wait")
    finally:
        await client.aclose(close_connection_pool=True)
    return ok(name, said)


async def broker(settings: Settings) -> list[Finding]:
    shown = addresses.mask(settings.broker_url or "")
    client: Redis = connect(settings.broker_url or "")
    try:
        state = await checks.look(client)
    except Unavailable as exc:
        return [fail("broker", f"{shown}: {exc}", "start it, or set RETOUCH_BROKER_URL right: no worker works without")]
    finally:
        await client.aclose(close_connection_pool=True)
    if state.cluster or state.replica:
        what = "in cluster mode" if state.cluster else "a replica"
        return [fail("broker", f"{shown} is {what}, which Celery cannot use", "set RETOUCH_BROKER_URL to a master")]
    said = f"{state.name} at {shown}, its user has all rights"
    return [await _access("broker", checks.BROKER, settings.broker_url, settings.namespace, said)]


async def whole(settings: Settings) -> list[Finding]:
    """Whether Redis may lack what was written last, and what was bought that it does not know."""
    client: Redis = connect(settings.redis_url or "")
    try:
        told = await restoring.look(client, settings.namespace)
    except Unavailable:
        return []  # `redis` says so
    finally:
        await client.aclose(close_connection_pool=True)
    found = []
    if told.since:
        why = "and has lost what was written last" if told.lost else "and may have lost what was written last"
        said = (
            f"restarted, restored or failed over {why}: what was queued at {told.since:%H:%M:%S} UTC is not bought yet"
        )
        do = "it goes on by itself once the workers or the provider's history tell what was bought (docs/operations.md)"
        found.append(warn("redis.whole", f"{said}; {told.awaited} workers have not spoken since", do))
    if told.unknown:
        task, edit = told.unknown[0].split(" ")
        said = f"{len(told.unknown)} paid tasks of edits that this Redis does not know, such as {task} of {edit}"
        found.append(warn("redis.unknown", said, "their callers send them again; the provider still has the pictures"))
    return found or [ok("redis.whole", "nothing that was written is missing")]


async def circuits(settings: Settings) -> list[Finding]:
    """What the workers found out does not work, and when they try it again."""
    client: Redis = connect(settings.redis_url or "")
    try:
        outages = await asyncio.wait_for(shared_circuits.outages(client, settings.namespace), ANSWER_WITHIN)
    except (Unavailable, TimeoutError):
        return []  # `redis` says so
    finally:
        await client.aclose(close_connection_pool=True)
    found = []
    for name, outage in sorted(outages.items()):
        said = f"{name} does not work since {outage.since:%H:%M:%S} UTC{f' ({outage.cause})' if outage.cause else ''}"
        do = f"nothing is lost; one request alone tries it again, at {outage.probe_at:%H:%M:%S} UTC or a little later"
        found.append(warn("circuits", said, do))
    return found or [ok("circuits", "create, read, history, download and storage are in use")]


async def storage(settings: Settings) -> list[Finding]:
    secret = settings.secret_key.get_secret_value() if settings.secret_key else ""
    began = time.monotonic()
    try:
        opened = open_storage(
            settings.storage_url,
            links=Links(secret),
            public_url=settings.public_url,
            patience=timedelta(seconds=ANSWER_WITHIN),
        )
        await opened.check()
    except StorageError as exc:
        do = "set it right and give our keys the rights to write, read and delete; bought pictures wait until then"
        return [fail("storage", f"{settings.storage_url}: {exc}", do)]
    took = (time.monotonic() - began) * 1000
    said = f"{settings.storage_url}: written, read back and deleted in {took:.0f} ms"
    if settings.storage_url.startswith("file:") and not settings.storage_shared:
        said += " (a folder of this machine: every process must run here)"
    return [ok("storage", said)]


async def provider(settings: Settings) -> list[Finding]:
    base_url, key = settings.qubico.base_url, settings.qubico.api_key
    if base_url is None or key is None:
        return []
    client = QubicoClient(base_url=base_url, api_key=key.get_secret_value(), read_timeout=ANSWER_WITHIN)
    try:
        async with client:
            account = await client.account()
    except AccountBlocked as exc:
        do = "see to the key (RETOUCH_QUBICO__API_KEY), the balance and the plan; edits wait and nothing is bought"
        return [fail("provider", f"{base_url} refuses the account: {exc}", do)]
    except QubicoError as exc:
        return [fail("provider", f"{base_url}: {exc}", "see to RETOUCH_QUBICO__BASE_URL and the way there; edits wait")]
    if account.is_enabled is False:
        return [fail("provider", f"{base_url}: the account is disabled", "ask the provider to enable it")]
    kind = "" if settings.livemode else " (sandbox: nothing is bought)"
    findings = [ok("provider", f"{base_url} takes the key{f', plan {account.plan}' if account.plan else ''}{kind}")]
    if account.balance_usd is not None:
        findings.append(_balance(account.balance_usd))
    if account.max_concurrent is not None:
        findings.append(_concurrency(settings, account.max_concurrent))
    return findings


def _balance(usd: Decimal) -> Finding:
    edits = int(usd / PRICE)
    said = f"${usd:,.2f} of credit, some {edits:,} edits at ${PRICE}"
    if edits < 1:
        return fail("provider.balance", said, "buy credit at the provider; edits wait until then")
    return warn("provider.balance", said, "buy credit soon") if edits < FEW_EDITS else ok("provider.balance", said)


def _concurrency(settings: Settings, allowed: int) -> Finding:
    ours = settings.qubico.max_in_flight
    said = f"the provider works on up to {allowed} tasks at once, we send up to {ours}"
    if ours > allowed:
        return warn("provider.limits", said, f"set RETOUCH_QUBICO__MAX_IN_FLIGHT={allowed}, or it will throttle us")
    return ok("provider.limits", said)


async def clock(settings: Settings, state: checks.RedisState | Unavailable) -> list[Finding]:
    """This host against Redis, and against the provider's Date where it sends one."""
    offsets = {} if isinstance(state, Unavailable) else {"Redis": state.ahead}
    if settings.qubico.base_url:
        ahead = await _date_of(settings.qubico.base_url)
        offsets |= {} if ahead is None else {"the provider": ahead}
    if not offsets:
        return [warn("clock", "not known: neither Redis nor the provider answers")]
    said = ", ".join(f"{abs(seconds):.1f} s {'behind' if seconds > 0 else 'ahead of'} {name}"
                     for name, seconds in offsets.items())  # fmt: skip
    worst = max(abs(seconds) for seconds in offsets.values())
    do = "set the clocks by NTP: signed links and time limits depend on them"
    if worst > CLOCK_REFUSED:
        return [fail("clock", f"this host is {said}", do)]
    return [
        warn("clock", f"this host is {said}", do) if worst > CLOCK_TOLERANCE else ok("clock", f"this host is {said}")
    ]


async def _date_of(url: str) -> float | None:
    """Seconds by which the server's clock is ahead; no key is sent."""
    try:
        async with _http(url) as http:
            began = datetime.now(UTC)
            answer = await http.head(url)
            half_way = began + (datetime.now(UTC) - began) / 2
        told = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (httpx.HTTPError, ValueError):
        return None
    # Dates are cut to whole seconds, so what is less than one off is right.
    behind = (half_way - told).total_seconds()
    return -max(behind - 1, 0.0) if behind > 0 else -behind


async def public_url(settings: Settings) -> list[Finding]:
    """As far as it can be told from here."""
    return [*_reach(settings), await _answers(settings.public_url)]


def _reach(settings: Settings) -> Iterator[Finding]:
    url, provider_url = settings.public_url, settings.qubico.base_url or ""
    outside = bool(provider_url) and not is_private(provider_url)
    if outside and is_private(url):
        lost = "callbacks, so its tasks are only polled"
        if settings.storage_url.startswith("file:"):
            lost += ", and uploads, so they are refused (input_unreachable)"
        do = "set RETOUCH_PUBLIC_URL to the address under which the world reaches this API"
        yield warn("public_url", f"{url} is private: the provider cannot reach it for {lost}", do)
    elif outside and not url.startswith("https:"):
        yield warn("public_url", f"{url} is not https: callbacks and links travel in the clear", "put TLS before it")


async def _answers(url: str) -> Finding:
    asked = f"{url}/healthz"
    try:
        async with _http(url) as http:
            answer = await http.get(asked)
    except httpx.HTTPError as exc:
        said = f"{asked}: {str(exc) or type(exc).__name__}"
        if is_private(url):
            return fail("public_url", said, "start the API, or set RETOUCH_PUBLIC_URL to where it is")
        return warn(
            "public_url", f"{said} (as seen from here)", "ask it from outside; start the API, see to DNS and TLS"
        )
    if answer.status_code == 200 and '"ok"' in answer.text:
        return ok("public_url", f"{asked} answers")
    said = f"{asked} answers {answer.status_code}, and not as our API would"
    return fail("public_url", said, "something else is there: see to the proxy, or to RETOUCH_PUBLIC_URL")


def _http(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        timeout=ANSWER_WITHIN, headers={"User-Agent": USER_AGENT}, trust_env=not addresses.is_loopback(url)
    )


def _mib(number: int) -> str:
    return f"{number / 1024**2:,.0f} MiB"
