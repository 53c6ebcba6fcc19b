"""The parts of the system as a supervisor keeps them: command, environment, when ready, place in the order."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.local import probes, programs
from cli.local.ports import Ports
from cli.local.supervisor import Part
from config.settings import Settings
from config.values import reached_at

VALKEY, SANDBOX, REST = 0, 1, 2  # the order: records first and last, and the provider outlives what asks it

Environment = Mapping[str, str]


def valkey(port: int, *, data_dir: Path, environment: Environment, folder: Path) -> Part:
    kept = data_dir / "valkey"
    kept.mkdir(parents=True, exist_ok=True)
    return Part(
        name="valkey",
        command=programs.valkey(port, kept),
        environment=environment,
        ready=probes.ping(port),
        order=VALKEY,
        folder=folder,
    )


def sandbox(port: int, *, environment: Environment, folder: Path) -> Part:
    return Part(
        name="sandbox",
        command=programs.sandbox(port),
        environment=environment,
        ready=probes.http(port, "/sandbox/health"),
        well=probes.http(port, "/sandbox/health"),
        order=SANDBOX,
        folder=folder,
    )


def api(settings: Settings, *, environment: Environment, folder: Path) -> Part:
    return Part(
        name="api",
        command=programs.api(settings),
        environment=environment,
        ready=probes.http(settings.api.port, "/readyz", host=reached_at(settings.api.host)),
        well=probes.http(settings.api.port, "/healthz", host=reached_at(settings.api.host)),  # no I/O: its loop turns
        order=REST,
        folder=folder,
    )


def workers(
    settings: Settings,
    *,
    environment: Environment,
    folder: Path,
    ports: Ports,
    steps: Sequence[str] = programs.STEPS,
) -> list[Part]:
    """One process each, told apart by its metrics port. The pid keeps their names apart on a broker that is shared."""
    movable = "RETOUCH_METRICS__PORT" not in settings.explicit
    parts = []
    for number in range(settings.worker.processes):
        port = ports.take(settings.metrics.port + number, setting="RETOUCH_METRICS__PORT", movable=movable)
        name = f"worker{number + 1}"
        parts.append(
            Part(
                name=name,
                command=programs.worker(name=f"{name}-{os.getpid()}", steps=steps),
                environment={**environment, "RETOUCH_METRICS__PORT": str(port)},
                ready=probes.http(port, "/healthz"),
                well=probes.http(port, "/healthz"),
                order=REST,
                folder=folder,
            )
        )
    return parts


def flower(settings: Settings, *, environment: Environment, folder: Path) -> Part:
    return Part(
        name="flower",
        command=programs.flower(),
        environment=environment,
        ready=probes.http(settings.flower.port, "/healthcheck"),
        well=probes.http(settings.flower.port, "/healthcheck"),
        order=REST,
        folder=folder,
    )
