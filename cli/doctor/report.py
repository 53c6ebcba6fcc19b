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
from edits.db import checks
from edits.db.connection import connect
from edits.db.workers import Crew
from edits.errors import Unavailable
from edits.models import Step

WITHIN = 6.0  # seconds for one examination, all its questions together; they run side by side
STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
WRONG_SETTINGS = 2

State = checks.RedisState | Unavailable
Told = Crew | Unavailable
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
    state, crew = await _read(settings)
    examinations: dict[str, Awaitable[list[Finding]]] = {
        "redis": examining.redis(settings, state),
        "redis.keys": examining.keys(settings, state),
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
    for finding in (*_workers(crew), *_ceilings(settings, crew)):
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
        return await asyncio.gather(_or_away(checks.look(redis)), _or_away(checks.crew(redis, settings.namespace)))
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


def _workers(crew: Told) -> Iterator[Finding]:
    if isinstance(crew, Unavailable):
        yield warn("workers", f"not known: {crew}")
        return
    if crew.processes == 0:
        yield fail("workers", "none is alive: edits are accepted and wait", "start `retouch worker`")
        return
    idle = [step for step in Step if not crew.on[step]]
    broken = [step for step in Step if crew.on[step] > crew.chains[step]]
    told = ", ".join(f"{step} {crew.on[step]}" for step in Step)
    if idle:
        do = f"start `retouch worker --steps {','.join(idle)}`"
        yield fail("workers", f"{crew.processes} alive, and none for {', '.join(idle)} ({told})", do)
    else:
        yield ok("workers", f"{crew.processes} alive ({told})")
    if broken:
        said = "fewer chains than processes on " + ", ".join(
            f"{step} ({crew.chains[step]} of {crew.on[step]})" for step in broken
        )
        yield warn("workers.chains", said, "they start within seconds; if not, see to the broker and the workers' logs")
    else:
        yield ok("workers.chains", "every process works on each of its steps")


def _ceilings(settings: Settings, crew: Told) -> Iterator[Finding]:
    ours = {
        "creates_per_second": settings.qubico.creates_per_second,
        "reads_per_second": settings.qubico.reads_per_second,
        "max_in_flight": float(settings.qubico.max_in_flight),
    }
    held = dict(ours)
    for name, here in ours.items():
        asked = () if isinstance(crew, Unavailable) else crew.ceilings.get(name, ())
        held[name] = min(asked, default=here)
        setting = f"RETOUCH_QUBICO__{name.upper()}"
        if len(asked) > 1:
            values = ", ".join(f"{value:g}" for value in asked)
            said = f"processes disagree on {setting}: {values}; the lowest, {held[name]:g}, holds"
            yield warn("ceilings", said, "set it alike for every process and start them anew")
        elif asked and here not in asked:
            yield warn("ceilings", f"{setting} is {here:g} here, and {asked[0]:g} for the processes that run")
    yield ok(
        "ceilings",
        ceilings.sentence(
            creates_per_second=held["creates_per_second"],
            reads_per_second=held["reads_per_second"],
            max_in_flight=int(held["max_in_flight"]),
        ),
    )
