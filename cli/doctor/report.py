"""`retouch doctor`: looks at everything the system stands on and says what is wrong and what to do, within seconds."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import TypeVar

from rich.text import Text

from cli import ceilings, output
from cli.doctor import checks as examining
from cli.doctor.results import Finding, Level, fail, ok, warn
from config import addresses, local_stack
from config.settings import Settings, SettingsError
from edits.ceilings import Ceilings
from edits.db import checks
from edits.db.connection import connect
from edits.db.workers import Workers
from edits.errors import Unavailable
from edits.models import Step

WITHIN = 6.0  # seconds for one examination, all its questions together; they run side by side
STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
WRONG_SETTINGS = 2

State = checks.RedisState | Unavailable
Told = Workers | Unavailable
_T = TypeVar("_T")


async def run(*, as_json: bool) -> int:
    """The exit code: 0, 1 when something failed, 2 when the settings cannot be used."""
    try:
        settings = local_stack.load_for_process("worker")
    except SettingsError as exc:
        for fault in exc.faults:
            _show(fail("settings", addresses.mask(str(fault)), "nothing else was looked at"), as_json=as_json)
        return WRONG_SETTINGS
    failed = False
    for finding in _settings(settings):
        _show(finding, as_json=as_json)
    state, workers = await _read(settings)
    examinations: dict[str, Awaitable[list[Finding]]] = {
        "redis": examining.redis(settings, state),
        "redis.access": examining.access(settings, state),
        "redis.whole": examining.whole(settings),
        "broker": examining.broker(settings),
        "circuits": examining.circuits(settings),
        "storage": examining.storage(settings),
        "provider": examining.provider(settings),
        "clock": examining.clock(settings, state),
        "public_url": examining.public_url(settings),
    }
    tasks = [asyncio.create_task(_bounded(name, looking)) for name, looking in examinations.items()]
    for task in tasks:
        for finding in await task:
            failed |= finding.level is Level.FAIL
            _show(finding, as_json=as_json)
    for finding in (*_workers(workers), *_ceilings(settings, workers)):
        failed |= finding.level is Level.FAIL
        _show(finding, as_json=as_json)
    return int(failed)


def _show(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        output.data_json(finding._asdict())
        return
    line = Text.assemble((f"{finding.level:<4}", STYLES[finding.level]), f"  {finding.check:<16}  {finding.said}")
    if finding.do:
        line.append(f"\n{'':24}→ {finding.do}")
    output.data(line)


async def _bounded(name: str, looking: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await asyncio.wait_for(looking, WITHIN)
    except TimeoutError:
        return [fail(name, f"no answer within {WITHIN:.0f} s", "see whether it runs and can be reached from here")]


async def _read(settings: Settings) -> tuple[State, Told]:
    redis = connect(settings.redis_url or "")
    try:
        return await asyncio.gather(_or_away(checks.look(redis)), _or_away(checks.workers(redis, settings.namespace)))
    finally:
        await redis.aclose(close_connection_pool=True)


async def _or_away(looking: Awaitable[_T]) -> _T | Unavailable:
    try:
        return await looking
    except Unavailable as away:
        return away


def _settings(settings: Settings) -> Iterator[Finding]:
    chosen = sum(source != "default" for source in settings.sources.values())
    beneath = "" if "RETOUCH_REDIS_URL" in settings.explicit else f", joined to the `up` of {settings.data_dir}"
    yield ok("settings", f"{settings.env}, namespace {settings.namespace}, {chosen} set or worked out{beneath}")
    for warning in settings.warnings:
        yield warn("settings", warning, "remove it, or write its name right")
    if settings.livemode and settings.env != "production":
        yield warn("settings", "edits cost money and RETOUCH_ENV is not production", "set RETOUCH_ENV=production")
    if settings.api.admin_key is None:
        yield warn("settings", "RETOUCH_API__ADMIN_KEY is not set here", "set it on every host that runs `retouch api`")


def _workers(workers: Told) -> Iterator[Finding]:
    if isinstance(workers, Unavailable):
        yield warn("workers", f"not known: {workers}")
        return
    if workers.processes == 0:
        yield fail("workers", "none is alive: edits are accepted and wait", "start `retouch worker`")
        return
    idle = [step for step in Step if not workers.on[step]]
    each = ", ".join(f"{step} {workers.on[step]}" for step in Step)
    if idle:
        do = f"start `retouch worker --steps {','.join(idle)}`"
        yield fail("workers", f"{workers.processes} alive, and none for {', '.join(idle)} ({each})", do)
    else:
        yield ok("workers", f"{workers.processes} alive, every step has a process ({each})")


def _ceilings(settings: Settings, workers: Told) -> Iterator[Finding]:
    held = Ceilings.of(settings.qubico).by_name()
    for name, here in tuple(held.items()):
        asked = () if isinstance(workers, Unavailable) else workers.ceilings.get(name, ())
        held[name] = min(asked, default=here)
        setting = f"RETOUCH_QUBICO__{name.upper()}"
        if len(asked) > 1:
            values = ", ".join(f"{value:g}" for value in asked)
            said = f"processes disagree on {setting}: {values}; the lowest, {held[name]:g}, holds"
            yield warn("ceilings", said, "set it alike for every process and start them anew")
        elif asked and here not in asked:
            yield warn("ceilings", f"{setting} is {here:g} here, and {asked[0]:g} for the processes that run")
    yield ok("ceilings", ceilings.sentence(Ceilings(**held)))
