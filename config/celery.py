"""Celery's configuration: each option that differs from the default, with its reason. Losing all messages is safe."""

from __future__ import annotations

import ssl
from typing import Any, Self

from celery.app.amqp import AMQP
from celery.worker.consumer.gossip import Gossip
from celery.worker.consumer.mingle import Mingle
from kombu import Connection, Exchange, Queue

from config import values
from config.addresses import RedisAddress, parse_redis
from config.errors import Fault, SettingsError
from config.settings import Settings

# Each step has a queue of its name, and one task: `retouch.<step>`.
STEPS = ("submit", "poll", "store", "adopt", "sweep")

FLOWER_HEARTBEAT = 10.0  # seconds between a worker's heartbeat events. Only Flower reads them; Celery's default is 2.


class SteadyConnection(Connection):
    """Tries an unreachable broker every 2 s; Celery's consumer waits up to 32 s, and no setting changes that."""

    def ensure_connection(self, *args: Any, **options: Any) -> Self:
        return super().ensure_connection(*args, **{"interval_start": 2, "interval_step": 0} | options)


class SteadyAMQP(AMQP):
    Connection = SteadyConnection


def leave_neighbours_alone() -> None:
    """Turns off gossip and mingle, which nothing here needs: with hundreds of workers they make starts slow."""
    Gossip.compatible_transports = set()
    Mingle.compatible_transports = set()


def celery_config(settings: Settings) -> dict[str, Any]:
    """Raises SettingsError if there is no broker."""
    if settings.broker_url is None:
        problem = "Celery needs a broker; set RETOUCH_REDIS_URL (and this one, if the broker is elsewhere)"
        raise SettingsError([Fault("RETOUCH_BROKER_URL", "not set", problem)])
    return _broker(parse_redis(settings.broker_url), settings.namespace) | _messages() | _worker()


def _broker(address: RedisAddress, namespace: str) -> dict[str, Any]:
    return {
        "broker_url": _broker_url(address),
        "broker_transport_options": _transport_options(address, namespace),
        "broker_use_ssl": _verified_tls(address),
        # Redis may be unreachable for hours; by default a worker ends after 100 tries.
        "broker_connection_max_retries": None,
        # A Redis that refuses writes (full disk, now a replica) hands out no messages; by default that ends the worker.
        "broker_channel_error_retry": True,
    }


def _broker_url(address: RedisAddress) -> str:
    """The address in kombu's spelling."""
    if address.scheme == "unix":
        return f"redis+socket://{address.user_part}{address.path}?virtual_host={address.database}"
    servers = (f"{address.user_part}{values.join_host(host, port)}" for host, port in address.hosts)
    return ";".join(f"{address.scheme}://{server}/{address.database}" for server in servers)


def _verified_tls(address: RedisAddress) -> dict[str, Any] | None:
    """By default kombu accepts any certificate."""
    if address.scheme != "rediss":
        return None
    files = {name: value for name, value in address.options if name.startswith("ssl_")}
    return {**files, "ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


def _transport_options(address: RedisAddress, namespace: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        # Separates the queues and control messages of systems that share a Redis.
        "global_keyprefix": f"{namespace}:",
        # Seconds until a message that a dead process took from a step's queue is redelivered. Links of chains are on
        # the queues of their processes and are not redelivered.
        "visibility_timeout": 120,
        # Searches for such messages every 30 s; a search costs five commands.
        "unacked_restore_interval": 30,
        "unacked_restore_throttle": 1,
        # Messages have no priority; by default each queue is four lists, and every read asks for all of them.
        "priority_steps": [0],
        # Without timeouts a hung server blocks a worker for ever. BRPOP waits 1 s, so 5 s never interrupts it.
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
    if address.scheme == "sentinel":
        timeouts = {"socket_timeout": 2, "socket_connect_timeout": 2}
        options |= {"master_name": address.master, "sentinel_kwargs": timeouts}
    return options


def _messages() -> dict[str, Any]:
    exchange = Exchange("retouch", type="direct")
    return {
        "task_queues": tuple(Queue(step, exchange, routing_key=step) for step in STEPS),
        "task_routes": {f"retouch.{step}": {"queue": step, "routing_key": step} for step in STEPS},
        # By default Celery creates a queue for an unknown name, which nobody reads.
        "task_create_missing_queues": False,
        "task_default_queue": "sweep",
        "task_default_exchange": "retouch",
        "task_default_routing_key": "sweep",
        # Only JSON is read, so a message cannot run code.
        "accept_content": ["json"],
        # The record is the result; a result backend costs a third more CPU per message.
        "task_ignore_result": True,
        # Records and leases make crashes safe, not redelivery. With late acknowledgement Celery 5.7.0 ends with an
        # AttributeError when Redis dies during a slice.
        "task_acks_late": False,
        # Intervals in seconds. While no message can be published, a process runs its links itself.
        "task_publish_retry_policy": {
            "max_retries": 1,
            "interval_start": 0.1,
            "interval_step": 0.1,
            "interval_max": 0.2,
        },
    }


def _worker() -> dict[str, Any]:
    return {
        # Slices only wait for the event loop of the process, and each process uses one core.
        "worker_pool": "threads",
        # One thread for each step's slice, and as many for other messages, which end at once.
        "worker_concurrency": 2 * len(STEPS),
        # Both are needed: with one prefetched message a link waited 18.6 s behind an idle slice (measured).
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        # Concerns late acknowledgement alone, which no task uses; false warns at each lost connection.
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        # Flower needs these events; they cost 70 % more CPU per message.
        "worker_send_task_events": True,
        "task_send_sent_event": True,
    }
