"""Single services (`api`, `worker`, `flower`, `sandbox`): the service replaces this process, so imports are few."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from cli.local import programs
from cli.local.ports import Ports
from config import local_stack
from config.settings import Settings, load


def api() -> NoReturn:
    settings = local_stack.load_for_process("api")
    Ports().take(settings.api.port, setting="RETOUCH_API__PORT", movable=False, host=settings.api.host)
    _become(programs.api(settings), {})


def flower() -> NoReturn:
    settings = local_stack.load_for_process("flower")
    Ports().take(settings.flower.port, setting="RETOUCH_FLOWER__PORT", movable=False)
    _become(programs.flower(), {})


def sandbox() -> NoReturn:
    settings = load(production_guards=False)
    Ports().take(settings.sandbox.port, setting="RETOUCH_SANDBOX__PORT", movable=False)
    _become(programs.sandbox(settings.sandbox.port), {})


def worker(settings: Settings, steps: Sequence[str]) -> NoReturn:
    movable = "RETOUCH_METRICS__PORT" not in settings.explicit
    port = Ports().take(settings.metrics.port, setting="RETOUCH_METRICS__PORT", movable=movable)
    command = programs.worker(name=f"worker-{os.getpid()}", steps=steps)
    _become(command, {"RETOUCH_METRICS__PORT": str(port)})


def _become(command: programs.Command, made: Mapping[str, str]) -> NoReturn:
    """Replaces this process; that releases its port claims, and the service binds the port."""
    os.execve(command[0], command, programs.environment(made, beneath=os.environ, folder=Path.cwd()))  # noqa: S606 - our own command
