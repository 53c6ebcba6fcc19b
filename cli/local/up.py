"""Services of this host until a signal comes: the whole system (`retouch up`), or several workers."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.text import Text

from cli import ceilings, output, render
from cli.local import data_dir, signals, stack
from cli.local.ports import Ports
from cli.local.supervisor import Service, Supervisor
from config import local_stack
from config.settings import Settings
from edits.ceilings import Ceilings
from edits.db import checks

KILLED_BEFORE = 5.0  # seconds beyond their graces that services of a killed `up` may take to end


async def run(*, as_json: bool) -> int:
    """The exit code: 0 after SIGTERM, 130 after Ctrl-C."""
    env = stack.here()
    settings = env.load()
    if settings.redis_url is not None:
        await checks.refuse_unfit(settings.redis_url, settings.namespace, broker_url=settings.broker_url)
    patience = 3 * settings.shutdown_grace.total_seconds() + KILLED_BEFORE
    with data_dir.locked(settings.data_dir, patience=patience) as lock:
        system = stack.build(env, settings=settings, ports=Ports())

        async def work() -> None:
            """Inside, other processes on this host find the system through its data dir."""
            local_stack.announce(settings.data_dir, system.up)
            _greet(system, as_json=as_json)
            try:
                await asyncio.Event().wait()
            finally:
                output.note("stopping …")
                local_stack.withdraw(settings.data_dir, pid=system.up.pid)

        output.note("starting …")
        code = await _run(system.services, settings, settings.data_dir / "logs", work, keep_open=(lock,))
    output.note("stopped")
    return code


async def workers(settings: Settings, steps: Sequence[str]) -> int:
    """`retouch worker` with several processes. The exit code."""
    await checks.refuse_unfit(settings.redis_url or "", settings.namespace, broker_url=settings.broker_url)
    services = stack.here().services({}).workers(settings, Ports(), steps=steps)
    logs = settings.data_dir / f"logs/worker-{os.getpid()}"

    async def work() -> None:
        output.note(f"{len(services)} workers for {','.join(steps)}; logs in {logs}; stop with Ctrl-C")
        await asyncio.Event().wait()

    return await _run(services, settings, logs, work)


async def _run(
    services: Sequence[Service],
    settings: Settings,
    logs: Path,
    work: Callable[[], Awaitable[None]],
    *,
    keep_open: tuple[int, ...] = (),
) -> int:
    supervisor = Supervisor(
        services,
        logs=logs,
        say=output.note,
        grace=settings.shutdown_grace.total_seconds(),
        stall_limit=settings.stall_limit.total_seconds(),
        keep_open=keep_open,
    )
    return signals.INTERRUPTED if await signals.run(supervisor, work) == signal.SIGINT else 0


def _greet(system: stack.Stack, *, as_json: bool) -> None:
    shown = _addresses(system)
    output.show(render.card((name, Text(value)) for name, value in shown.items()), shown, as_json=as_json)
    output.note(ceilings.sentence(Ceilings.of(system.settings.qubico)))
    if not system.settings.livemode:
        output.note("the provider is the sandbox: nothing is bought")
    output.note("ready; stop with Ctrl-C")


def _addresses(system: stack.Stack) -> dict[str, str]:
    return {
        "api": system.up.api_url,
        "docs": f"{system.up.api_url}/docs",
        "api_key": system.up.api_key,
        "flower": system.up.flower_url or "",
        "flower_user": system.settings.flower.user,
        "flower_password": system.up.environment["RETOUCH_FLOWER__PASSWORD"],
        **({"sandbox": system.up.sandbox_url} if system.up.sandbox_url else {}),
        "logs": str(system.settings.data_dir / "logs"),
    }
