"""The Celery application: one task a step, and the engine that starts and stops with the worker process.

celery -A workers.app worker -Q submit,poll,store,adopt,sweep -E
"""

import asyncio
import sys
from typing import Any

import structlog
from celery import Celery, signals
from kombu.exceptions import OperationalError

from config.celery import celery_config, leave_neighbours_alone
from config.errors import SettingsError
from config.joined import load_for_process
from config.logging import configure
from edits import checks
from edits.errors import RedisUnfit
from edits.schedule import Link, Step
from workers import chain
from workers.engine import Engine

log = structlog.get_logger()

_IS_FLOWER = "flower" in sys.argv[1:]

try:
    settings = load_for_process("flower" if _IS_FLOWER else "worker")
except SettingsError as exc:
    sys.stderr.write(f"{exc}\n")
    raise SystemExit(2) from None

app = Celery("retouch")
app.conf.update(celery_config(settings))
leave_neighbours_alone()
if _IS_FLOWER:
    from config import flower  # heavy, and no worker needs it

    flower.configure(settings)
_engine: Engine | None = None


def _send(link: Link) -> None:
    """Puts a link on its step's queue. If the broker is away the chain ends, and a heartbeat starts it again."""
    try:
        app.send_task(f"retouch.{link.step}", args=[link.slot, link.number], queue=str(link.step))
    except (OperationalError, OSError) as exc:
        log.warning("link.not_sent", step=link.step, error=type(exc).__name__)


def _door(step: Step) -> None:
    @app.task(name=f"retouch.{step}")
    def run(slot: int, number: int) -> None:
        if _engine is None:
            raise RuntimeError("this worker has no engine: it was not started by celery worker")
        following = _engine.call(chain.run_link(_engine, Link(step, slot, number)))
        if following is not None:
            _send(following)


for _step in Step:
    _door(_step)


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    configure(settings)


@signals.worker_init.connect
def _start(**_: Any) -> None:
    """The chains of a process are those of the queues that it was told to consume."""
    global _engine  # noqa: PLW0603 - one engine a process, and Celery's signals have no other place for it
    configure(settings)
    _refuse_unfit_redis()
    steps = [step for step in Step if step in app.amqp.queues.consume_from]
    _engine = Engine(settings, steps, start_chain=_send, metrics_port=settings.metrics.port)
    _engine.start()


def _refuse_unfit_redis() -> None:
    try:
        asyncio.run(checks.refuse_unfit(settings.redis_url or ""))  # load_for_process saw to it that there is one
    except RedisUnfit as exc:
        sys.stderr.write(f"{exc}\n")
        raise SystemExit(2) from None


@signals.worker_shutting_down.connect
def _stop(**_: Any) -> None:
    if _engine is not None:
        _engine.stop()


@signals.worker_shutdown.connect
def _close(**_: Any) -> None:
    if _engine is not None:
        _engine.close()
