"""The services of the system as a supervisor runs them: command, environment, health check, place in the order."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.local import probes, programs
from cli.local.ports import Ports
from cli.local.supervisor import Service
from config.settings import Settings
from config.values import reached_at

VALKEY, SANDBOX, REST = 0, 1, 2  # the order: records first and last, and the provider outlives its clients


@dataclass(frozen=True, kw_only=True)
class Services:
    """Makes services that share an environment and a working folder."""

    environment: dict[str, str]
    folder: Path

    def valkey(self, port: int, *, data_dir: Path) -> Service:
        kept = data_dir / "valkey"
        kept.mkdir(parents=True, exist_ok=True)
        return Service(
            name="valkey",
            command=programs.valkey(port, kept),
            environment=self.environment,
            ready=probes.ping(port),
            order=VALKEY,
            folder=self.folder,
        )

    def sandbox(self, port: int) -> Service:
        return self._http("sandbox", programs.sandbox(port), port, "/sandbox/health", order=SANDBOX)

    def api(self, settings: Settings) -> Service:
        """`/healthz` does no I/O: it shows that the event loop runs."""
        host = reached_at(settings.api.host)
        return self._http("api", programs.api(settings), settings.api.port, "/healthz", host=host, ready="/readyz")

    def flower(self, settings: Settings) -> Service:
        return self._http("flower", programs.flower(), settings.flower.port, "/healthcheck")

    def workers(self, settings: Settings, ports: Ports, *, steps: Sequence[str] = programs.STEPS) -> list[Service]:
        """One process each on its own metrics port. The pid in their names keeps them apart on a shared broker."""
        movable = "RETOUCH_METRICS__PORT" not in settings.explicit
        made = []
        for number in range(settings.worker.processes):
            port = ports.take(settings.metrics.port + number, setting="RETOUCH_METRICS__PORT", movable=movable)
            name = f"worker{number + 1}"
            command = programs.worker(name=f"{name}-{os.getpid()}", steps=steps)
            made.append(self._http(name, command, port, "/healthz", RETOUCH_METRICS__PORT=str(port)))
        return made

    def _http(
        self,
        name: str,
        command: programs.Command,
        port: int,
        health: str,
        *,
        ready: str | None = None,
        host: str = "127.0.0.1",
        order: int = REST,
        **environment: str,
    ) -> Service:
        return Service(
            name=name,
            command=command,
            environment=self.environment | environment,
            ready=probes.http(port, ready or health, host=host),
            well=probes.http(port, health, host=host),
            order=order,
            folder=self.folder,
        )
