"""The Celery application: one task a step, and the engine that starts and stops with the worker process.

celery -A workers.app worker -Q submit,poll,store,adopt,sweep -E
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import structlog
from celery import Celery, signals
from celery.worker import state
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.celery import FLOWER_HEARTBEAT, SteadyAMQP, celery_config, leave_neighbours_alone
from config.errors import SettingsError
from config.local_stack import load_for_process
from config.logging import configure
from edits.errors import RedisUnfit
from edits.models import Step

if TYPE_CHECKING:
    from workers.engine import Engine

log = structlog.get_logger()

OWN_QUEUE_LIFE: Final = 3600.0  # seconds until the messages that a killed process left in its queue expire

_IS_FLOWER = "flower" in sys.argv[1:]

try:
    settings = load_for_process("flower" if _IS_FLOWER else "worker")
except SettingsError as exc:
    sys.stderr.write(f"{exc}\n")
    raise SystemExit(2) from None

app = Celery("retouch", amqp=SteadyAMQP)
app.conf.update(celery_config(settings))
leave_neighbours_alone()
if _IS_FLOWER:
    from config import flower  # heavy, and no worker needs it

    flower.configure(settings)
_engine: Engine | None = None


_own_queue = f"process.{uuid4().hex}"  # of this process alone: the links of its chains


def _send_link(step: Step, number: int) -> bool:
    """Puts a link on this process's queue; False: the broker took no message, or did not say so."""
    try:
        app.send_task(f"retouch.{step}", args=[_own_queue, number], queue=_own_queue)
    except (OperationalError, RedisError, OSError) as exc:
        log.warning("link.not_sent", step=step, error=type(exc).__name__)
        return False
    return True


def _link_task(step: Step) -> None:
    """The Celery task of a step: one link of its chain. Messages that are no links of this process end at once."""

    @app.task(name=f"retouch.{step}")
    def run(*link: object) -> None:
        if _engine is None:
            raise RuntimeError("this worker has no engine: it was not started by celery worker")
        match link:
            case (str(queue), int(number)) if queue == _own_queue:
                _engine.follow(step, number)


for _step in Step:
    _link_task(_step)


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    configure(settings)


@signals.worker_init.connect
def _start(sender: Any, **_: Any) -> None:
    """A process runs a chain for each step whose queue it consumes."""
    from workers.engine import Engine  # noqa: PLC0415 - a third of what Flower, which needs none, takes to start

    global _engine  # noqa: PLW0603 - one engine a process, and Celery's signals have no other place for it
    configure(settings)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until Celery's own handler stands, nothing is in hand
    _refuse_unfit_redis()
    sender.options["heartbeat_interval"] = sender.options.get("heartbeat_interval") or FLOWER_HEARTBEAT
    steps = [step for step in Step if step in app.amqp.queues.consume_from]
    # Unacknowledged messages would be put back after the process has ended, without expiry.
    own = Queue(_own_queue, no_ack=True, auto_delete=True, expires=OWN_QUEUE_LIFE)
    app.amqp.queues.select_add(own)
    own.exchange = Exchange("")  # not Celery's default one, whose list of queues keeps those of killed processes
    _engine = Engine(settings, steps, send_link=_send_link, metrics_port=settings.metrics.port, end=_end)
    _engine.start()


def _end(code: int) -> None:
    """As a signal would, from any thread."""
    _stop()
    state.should_stop = code  # type: ignore[assignment]  # as Celery's own handlers of signals set it


def _refuse_unfit_redis() -> None:
    from edits.db import checks  # noqa: PLC0415 - as with the engine

    try:
        # load_for_process saw to it that there is an address
        asyncio.run(checks.refuse_unfit(settings.redis_url or "", settings.namespace, broker_url=settings.broker_url))
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
