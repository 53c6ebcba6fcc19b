"""Flower's configuration: it listens on loopback, and only /healthcheck answers without the password."""

from __future__ import annotations

import structlog
import tornado.web
from flower import urls
from flower.options import default_options as options
from flower.views import monitor

from config.errors import Fault, SettingsError
from config.settings import Settings

log = structlog.get_logger(__name__)


class GuardedMetrics(monitor.Metrics):  # type: ignore[misc] # Flower has no type hints
    """Flower's /metrics, which needs no password by default."""

    @tornado.web.authenticated
    async def get(self) -> None:
        await super().get()


class Healthcheck(monitor.Healthcheck):  # type: ignore[misc] # Flower has no type hints
    """Flower's /healthcheck, which by default is OK even if no events are received."""

    async def get(self) -> None:
        if self.application.events.is_alive():
            await super().get()
        else:
            self.set_status(503)
            self.write("no events are received: the thread that receives them has ended")


def configure(settings: Settings) -> None:
    """Sets Flower's defaults; its command line and `FLOWER_*` still override them. Raises SettingsError."""
    password = settings.flower.password
    if password is None:
        problem = "Flower shows and stops workers, so it does not start without a password; set one"
        raise SettingsError([Fault("RETOUCH_FLOWER__PASSWORD", "not set", problem)])
    options.address = "127.0.0.1"
    options.port = settings.flower.port
    options.basic_auth = [f"{settings.flower.user}:{password.get_secret_value()}"]
    # At a few messages a second: half an hour of tasks, in some 10 MiB.
    options.max_tasks = 5000
    options.max_workers = 500
    # Seconds. On a cluster each restarted container is a worker with a new name.
    options.purge_offline_workers = 300
    options.tasks_columns = "name,state,worker,received,started,runtime,uuid"
    options.inspect_timeout = 2000.0
    harden()
    folder = settings.data_dir / "flower"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        # In a read-only container Flower only shows tasks since its start.
        log.warning("flower.state_not_kept", folder=str(folder), reason=exc.strerror)
        return
    options.persistent = True
    options.db = str(folder / "flower.db")
    options.state_save_interval = 10_000


def harden() -> None:
    """Replaces /metrics and /healthcheck in every Flower that this process starts."""
    replaced = {monitor.Metrics: GuardedMetrics, monitor.Healthcheck: Healthcheck}
    for position, handler in enumerate(urls.handlers):
        if isinstance(handler, tuple) and handler[1] in replaced:
            urls.handlers[position] = (handler[0], replaced[handler[1]])
