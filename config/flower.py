"""Flower's configuration: nothing but /healthcheck answers without the password, and it listens on loopback."""

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
    """Flower's /metrics, which Flower itself shows to anybody."""

    @tornado.web.authenticated
    async def get(self) -> None:
        await super().get()


class Healthcheck(monitor.Healthcheck):  # type: ignore[misc] # Flower has no type hints
    """Flower's own always says OK; this one also checks that events are received."""

    async def get(self) -> None:
        if self.application.events.is_alive():
            await super().get()
        else:
            self.set_status(503)
            self.write("no events are received: the thread that does has ended")


def configure(settings: Settings) -> None:
    """Set Flower's options before it reads its command line and `FLOWER_*`, which still win."""
    password = settings.flower.password
    if password is None:
        problem = "Flower shows and stops workers, so it does not start without a password; set one"
        raise SettingsError([Fault("RETOUCH_FLOWER__PASSWORD", "not set", problem)])
    options.address = "127.0.0.1"
    options.port = settings.flower.port
    options.basic_auth = [f"{settings.flower.user}:{password.get_secret_value()}"]
    # A few messages a second come by: this is about half an hour of them, and some ten MiB.
    options.max_tasks = 5000
    options.max_workers = 500
    # A worker's name holds its host, so on a cluster they come and go for ever.
    options.purge_offline_workers = 300
    options.tasks_columns = "name,state,worker,received,started,runtime,uuid"
    options.inspect_timeout = 2000.0
    _keep_state(settings)
    harden()


def harden() -> None:
    """Put the password before /metrics and sense into /healthcheck, for every Flower that this process may start."""
    better = {monitor.Metrics: GuardedMetrics, monitor.Healthcheck: Healthcheck}
    for position, handler in enumerate(urls.handlers):
        if isinstance(handler, tuple) and handler[1] in better:
            urls.handlers[position] = (handler[0], better[handler[1]])


def _keep_state(settings: Settings) -> None:
    folder = settings.data_dir / "flower"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        # A read-only container: Flower then shows what happened since it started.
        log.warning("flower.state_not_kept", folder=str(folder), reason=exc.strerror)
        return
    options.persistent = True
    options.db = str(folder / "flower.db")
    options.state_save_interval = 10_000
