"""`worker` with several processes: kept running until a signal comes."""

import asyncio
import os
from collections.abc import Sequence

from cli import output
from cli.local import services, signals, stack
from cli.local.ports import Ports
from cli.local.supervisor import Patience, Supervisor
from cli.local.up import INTERRUPTED
from config.settings import Settings
from edits.db import checks


async def run(settings: Settings, steps: Sequence[str]) -> int:
    """The exit code."""
    await checks.refuse_unfit(settings.redis_url or "", settings.namespace)
    ground = stack.here()
    kept = services.workers(
        settings, environment=ground.environment({}), folder=ground.folder, ports=Ports(), steps=steps
    )
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
