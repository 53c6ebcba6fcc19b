"""`api`, `worker`, `flower`, `sandbox`: single parts, which become the field's own command if one process will do."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from cli import commands, output, parts, signals, stack
from cli.ports import Ports
from cli.supervisor import Patience, Supervisor
from cli.up import INTERRUPTED
from config import joined
from config.settings import Settings, load
from edits import checks


def api() -> NoReturn:
    settings = joined.load_for_process("api")
    asyncio.run(checks.refuse_unfit(settings.redis_url or "", settings.namespace))
    Ports().take(settings.api.port, setting="RETOUCH_API__PORT", movable=False, host=settings.api.host)
    _become(commands.api(settings), {})


def flower() -> NoReturn:
    settings = joined.load_for_process("flower")
    Ports().take(settings.flower.port, setting="RETOUCH_FLOWER__PORT", movable=False)
    _become(commands.flower(), {})


def sandbox() -> NoReturn:
    settings = load(production_guards=False)
    Ports().take(settings.sandbox.port, setting="RETOUCH_SANDBOX__PORT", movable=False)
    _become(commands.sandbox(settings.sandbox.port), {})


def worker(settings: Settings, steps: Sequence[str]) -> NoReturn:
    movable = "RETOUCH_METRICS__PORT" not in settings.explicit
    port = Ports().take(settings.metrics.port, setting="RETOUCH_METRICS__PORT", movable=movable)
    command = commands.worker(settings, name=f"worker-{os.getpid()}", steps=steps)
    _become(command, {"RETOUCH_METRICS__PORT": str(port)})


async def workers(settings: Settings, steps: Sequence[str]) -> int:
    """Several worker processes, kept running until a signal; the exit code."""
    await checks.refuse_unfit(settings.redis_url or "", settings.namespace)
    ground = stack.here()
    kept = parts.workers(settings, environment=ground.environment({}), folder=ground.folder, ports=Ports(), steps=steps)
    logs = settings.data_dir / f"logs/worker-{os.getpid()}"
    grace, patience = settings.shutdown_grace.total_seconds(), Patience.of(settings.stall_limit.total_seconds())
    supervisor = Supervisor(kept, logs=logs, say=output.note, grace=grace, patience=patience)
    with signals.caught_for(supervisor) as caught:
        try:
            async with supervisor:
                output.note(f"{len(kept)} workers for {','.join(steps)}; logs in {logs}; Ctrl-C ends them")
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if caught.first is None:
                raise
    return INTERRUPTED if caught.interrupted else 0


def _become(command: commands.Command, made: Mapping[str, str]) -> NoReturn:
    """The claims on ports end with this program; the part itself holds its port from here on."""
    os.execve(command[0], command, commands.environment(made, folder=Path.cwd()))  # noqa: S606 - our own command
