"""`retouch doctor`: runs every check side by side and prints what is wrong and what to do, within seconds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TypeVar

from rich.text import Text

from cli import ceilings, output
from cli.doctor import network, provider, redis, storage
from cli.doctor.results import Level, Result, fail, ok, warn
from cli.errors import WrongUsage
from config import addresses, local_stack
from config.settings import Settings, SettingsError
from edits.ceilings import Ceilings
from edits.db import checks
from edits.db.connection import connect
from edits.db.workers import Workers
from edits.errors import Unavailable
from edits.models import Step

WITHIN = 6.0  # seconds for one check with all its requests; checks run side by side
STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}

Registry = Workers | Unavailable
_T = TypeVar("_T")


async def run(*, as_json: bool) -> int:
    """The exit code: 0, 1 when something failed, 2 when the settings cannot be used."""
    try:
        settings = local_stack.load_for_process("worker")
    except SettingsError as exc:
        for fault in exc.faults:
            _show(fail("settings", addresses.mask(str(fault)), "nothing else was checked"), as_json=as_json)
        return WrongUsage.exit_code
    failed = False
    async for result in _results(settings):
        failed |= result.level is Level.FAIL
        _show(result, as_json=as_json)
    return int(failed)


async def _results(settings: Settings) -> AsyncIterator[Result]:
    for result in _settings(settings):
        yield result
    async with connect(settings.redis_url or "") as client:
        state, workers = await asyncio.gather(
            _or_away(checks.look(client)), _or_away(checks.workers(client, settings.namespace))
        )
        running: dict[str, Awaitable[list[Result]]] = {
            "redis": redis.server(settings, state),
            "redis.access": redis.access(settings, state),
            "redis.whole": redis.whole(client, settings.namespace),
            "broker": redis.broker(settings),
            "circuits": redis.circuits(client, settings.namespace),
            "storage": storage.storage(settings),
            "provider": provider.provider(settings),
            "clock": network.clock(settings, state),
            "public_url": network.public_url(settings),
        }
        for task in [asyncio.create_task(_bounded(name, check)) for name, check in running.items()]:
            for result in await task:
                yield result
    for result in (*_workers(workers), *_ceilings(settings, workers)):
        yield result


def _show(result: Result, *, as_json: bool) -> None:
    line = Text.assemble((f"{result.level:<4}", STYLES[result.level]), f"  {result.check:<16}  {result.said}")
    if result.do:
        line.append(f"\n{'':24}→ {result.do}")
    output.show(line, result._asdict(), as_json=as_json)


async def _bounded(name: str, check: Awaitable[list[Result]]) -> list[Result]:
    try:
        return await asyncio.wait_for(check, WITHIN)
    except Unavailable:
        return []  # `redis` says so
    except TimeoutError:
        return [fail(name, f"no response within {WITHIN:.0f} s", "check that it runs and can be reached from here")]


async def _or_away(looking: Awaitable[_T]) -> _T | Unavailable:
    try:
        return await looking
    except Unavailable as away:
        return away


def _settings(settings: Settings) -> Iterator[Result]:
    chosen = sum(source != "default" for source in settings.sources.values())
    beneath = "" if "RETOUCH_REDIS_URL" in settings.explicit else f", joined to `retouch up` of {settings.data_dir}"
    yield ok("settings", f"{settings.env}, namespace {settings.namespace}, {chosen} set or derived{beneath}")
    for warning in settings.warnings:
        yield warn("settings", warning, "remove it, or correct its name")
    if settings.livemode and settings.env != "production":
        yield warn("settings", "edits cost money and RETOUCH_ENV is not production", "set RETOUCH_ENV=production")
    if settings.api.admin_key is None:
        yield warn("settings", "RETOUCH_API__ADMIN_KEY is not set here", "set it on every host that runs `retouch api`")


def _workers(workers: Registry) -> Iterator[Result]:
    if isinstance(workers, Unavailable):
        yield warn("workers", f"not known: {workers}")
        return
    if workers.processes == 0:
        yield fail("workers", "no worker is alive: edits are accepted and wait", "start `retouch worker`")
        return
    idle = [step for step in Step if not workers.on[step]]
    each = ", ".join(f"{step} {workers.on[step]}" for step in Step)
    if idle:
        do = f"start `retouch worker --steps {','.join(idle)}`"
        yield fail("workers", f"{workers.processes} alive, and none for {', '.join(idle)} ({each})", do)
    else:
        yield ok("workers", f"{workers.processes} alive, every step has a process ({each})")


def _ceilings(settings: Settings, workers: Registry) -> Iterator[Result]:
    held = Ceilings.of(settings.qubico).by_name()
    for name, here in tuple(held.items()):
        reported = () if isinstance(workers, Unavailable) else workers.ceilings.get(name, ())
        held[name] = min(reported, default=here)
        setting = f"RETOUCH_QUBICO__{name.upper()}"
        if len(reported) > 1:
            values = ", ".join(f"{value:g}" for value in reported)
            said = f"processes disagree on {setting}: {values}; the lowest, {held[name]:g}, applies"
            yield warn("ceilings", said, "set the same value for every process and restart them")
        elif reported and here not in reported:
            yield warn("ceilings", f"{setting} is {here:g} here, and {reported[0]:g} in the running processes")
    yield ok("ceilings", ceilings.sentence(Ceilings(**held)))
