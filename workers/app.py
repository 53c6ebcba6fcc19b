"""The Celery application: one task a step, and the engine that starts and stops with the worker process.

celery -A workers.app worker -Q submit,poll,store,adopt,sweep -E
"""

import asyncio
import signal
import sys
import threading
from typing import Any, Final
from uuid import uuid4

import structlog
from celery import Celery, signals
from celery.worker import state
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from config.celery import SAID_TO_FLOWER, SteadyAMQP, celery_config, leave_neighbours_alone
from config.errors import SettingsError
from config.local_stack import load_for_process
from config.logging import configure
from edits.db import checks
from edits.db.schedule import Link
from edits.errors import RedisUnfit
from edits.models import Step
from workers import chains
from workers.engine import Engine
from workers.pulse import CONSUMER

log = structlog.get_logger()

PULSE: Final = "retouch.pulse"
OWN_QUEUE_LIFE: Final = 3600.0  # seconds until what a killed process left in its queue goes

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


_own_queue = f"process.{uuid4().hex}"
"""Of this process alone: for its pulse, and for the chains that it is to run."""


def _send(link: Link, *, queue: str | None = None) -> bool:
    """Puts a link on its step's queue; False: the broker took no message, or did not say so."""
    try:
        app.send_task(f"retouch.{link.step}", args=[link.slot, link.number], queue=queue or str(link.step))
    except (OperationalError, RedisError, OSError) as exc:
        log.warning("link.not_sent", step=link.step, error=type(exc).__name__)
        return False
    return True


def _go_on(engine: Engine, link: Link) -> None:
    """Hands the chain over to the broker. While that is away or full, this process itself runs link after link."""
    following: Link | None = link
    while following is not None and not _send(following) and not engine.stopping:
        following = engine.call(chains.run_link(engine, following))


def _start_chain(link: Link) -> None:
    """It begins where it was missed, so that a process that is new gets a chain of its own at once."""
    if not _send(link, queue=_own_queue) and _engine is not None:
        threading.Thread(target=_go_on, args=(_engine, link), name=f"chain-{link.step}", daemon=True).start()


def _send_pulse() -> bool:
    try:
        app.send_task(PULSE, queue=_own_queue)
    except (OperationalError, RedisError, OSError) as exc:
        log.warning("pulse.not_sent", error=type(exc).__name__)
        return False
    return True


def _door(step: Step) -> None:
    @app.task(name=f"retouch.{step}")
    def run(slot: int, number: int) -> None:
        if _engine is None:
            raise RuntimeError("this worker has no engine: it was not started by celery worker")
        _pulse()
        following = _engine.call(chains.run_link(_engine, Link(step, slot, number)))
        if following is not None:
            _go_on(_engine, following)


@app.task(name=PULSE)
def _pulse() -> None:
    """A message came through."""
    if _engine is not None and not _engine.stopping:
        _engine.watch.moved(CONSUMER)


for _step in Step:
    _door(_step)


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    configure(settings)


@signals.worker_init.connect
def _start(sender: Any, **_: Any) -> None:
    """The chains of a process are those of the queues that it was told to consume."""
    global _engine  # noqa: PLW0603 - one engine a process, and Celery's signals have no other place for it
    configure(settings)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until Celery's own handler stands, nothing is in hand
    _refuse_unfit_redis()
    sender.options["heartbeat_interval"] = sender.options.get("heartbeat_interval") or SAID_TO_FLOWER
    steps = [step for step in Step if step in app.amqp.queues.consume_from]
    app.amqp.queues.select_add(Queue(_own_queue, Exchange(""), auto_delete=True, expires=OWN_QUEUE_LIFE))
    _engine = Engine(
        settings,
        steps,
        start_chain=_start_chain,
        metrics_port=settings.metrics.port,
        send_pulse=_send_pulse,
        end=_end,
    )
    _engine.start()


def _end(code: int) -> None:
    """As a signal would, from any thread."""
    _stop()
    state.should_stop = code  # type: ignore[assignment]  # as Celery's own handlers of signals set it


def _refuse_unfit_redis() -> None:
    try:
        # load_for_process saw to it that there is an address
        asyncio.run(checks.refuse_unfit(settings.redis_url or "", settings.namespace))
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
