"""`retouch worker` with several processes, until a signal comes."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cli import output
from cli.local import signals, stack
from cli.local.ports import Ports
from cli.local.supervisor import Patience, Supervisor
from config.settings import Settings
from edits.db import checks


async def run(settings: Settings, steps: Sequence[str]) -> int:
    """The exit code."""
    await checks.refuse_unfit(settings.redis_url or "", settings.namespace, broker_url=settings.broker_url)
    services = stack.here().services({}).workers(settings, Ports(), steps=steps)
    logs = settings.data_dir / f"logs/worker-{os.getpid()}"
    grace, patience = settings.shutdown_grace.total_seconds(), Patience.of(settings.stall_limit.total_seconds())
    supervisor = Supervisor(services, logs=logs, say=output.note, grace=grace, patience=patience)
    return await signals.run_until_signal(supervisor, _started(len(services), steps, logs))


@contextmanager
def _started(count: int, steps: Sequence[str], logs: Path) -> Iterator[None]:
    output.note(f"{count} workers for {','.join(steps)}; logs in {logs}; stop with Ctrl-C")
    yield
