"""Celery's configuration, each knob with its reason. Celery carries wake-ups, never the only copy of anything."""

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

# A step's queue bears its name, and its one task is `retouch.<step>`.
STEPS = ("submit", "poll", "store", "adopt", "sweep")

# Seconds between a worker's heartbeat events for Flower; Celery's default of 2 has no reader.
SAID_TO_FLOWER = 10.0


class SteadyConnection(Connection):
    """Looks every two seconds for a broker that is away.

    Celery's consumer waits ever longer, up to 32 s at last, and no setting changes that; a link sent when the broker
    is back would wait for so long.
    """

    def ensure_connection(self, *args: Any, **options: Any) -> Self:
        return super().ensure_connection(*args, **{"interval_start": 2, "interval_step": 0} | options)


class SteadyAMQP(AMQP):
    Connection = SteadyConnection


def task_name(step: str) -> str:
    return f"retouch.{step}"


def celery_config(settings: Settings) -> dict[str, Any]:
    if settings.broker_url is None:
        problem = "Celery needs a broker; set RETOUCH_REDIS_URL (and this one, if the broker is elsewhere)"
        raise SettingsError([Fault("RETOUCH_BROKER_URL", "not set", problem)])
    return {
        **_broker(parse_redis(settings.broker_url), namespace=settings.namespace),
        **_messages(),
        **_worker(),
        **_events(),
    }


def leave_neighbours_alone() -> None:
    """Start workers without gossip and mingle, however they are started.

    Each asks or tells every other worker things that only Celery's own counters, revokes and elections need: with
    hundreds of workers that is a start that takes seconds, and a steady load on the broker, for nothing.
    """
    Gossip.compatible_transports = set()
    Mingle.compatible_transports = set()


def _broker(address: RedisAddress, *, namespace: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        # Two systems may share one Redis: their queues and their control messages must not meet.
        "global_keyprefix": f"{namespace}:",
        # A message taken from a step's queue by a process that died comes back after this. The links of chains are on
        # the queues of their processes and never come back.
        "visibility_timeout": 120,
        # Looked for twice a minute: each look is five commands, and nothing waits for such a message.
        "unacked_restore_interval": 30,
        "unacked_restore_throttle": 1,
        # No message of ours has a priority; else a queue is four lists, and all of them are asked for each time.
        "priority_steps": [0],
        # Without these a server that hangs holds a worker for ever. BRPOP asks for 1 s, so 5 never cuts it short.
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # redis-py's own repeats on top of kombu's would turn 5 s on a hung server into many times that.
        "retry_on_timeout": False,
    }
    config: dict[str, Any] = {
        "broker_url": broker_address(address),
        "broker_transport_options": options,
        # Redis may be away for hours; a worker that gave up after 100 tries would need somebody to start it again.
        "broker_connection_max_retries": None,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        # A Redis that answers but takes no writes (its disk is full, it became a replica) refuses to hand out messages.
        # Else the worker would end at that, and be started again ever more slowly.
        "broker_channel_error_retry": True,
        "broker_connection_timeout": 2,
        # AMQP's heartbeat; on Redis health_check_interval does that work.
        "broker_heartbeat": 0,
    }
    if address.scheme == "sentinel":
        options["master_name"] = address.master
        options["sentinel_kwargs"] = {"socket_timeout": 2, "socket_connect_timeout": 2}
    if address.scheme == "rediss":
        # Without it kombu takes any certificate (it logs "defaulting to insecure SSL behaviour").
        files = {name: value for name, value in address.options if name.startswith("ssl_")}
        config["broker_use_ssl"] = {**files, "ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    return config


def broker_address(address: RedisAddress) -> str:
    """The same server in kombu's spelling."""
    match address.scheme:
        case "unix":
            return f"redis+socket://{address.user_part}{address.path}?virtual_host={address.database}"
        case "sentinel":
            servers = (values.join_host(host, port) for host, port in address.hosts)
            return ";".join(f"sentinel://{address.user_part}{server}/{address.database}" for server in servers)
    return f"{address.scheme}://{address.user_part}{values.join_host(*address.hosts[0])}/{address.database}"


def _messages() -> dict[str, Any]:
    exchange = Exchange("retouch", type="direct")
    return {
        "task_queues": tuple(Queue(step, exchange, routing_key=step) for step in STEPS),
        "task_routes": {task_name(step): {"queue": step, "routing_key": step} for step in STEPS},
        # An unknown queue name is an error; Celery would create a queue without a reader.
        "task_create_missing_queues": False,
        "task_default_queue": "sweep",
        "task_default_exchange": "retouch",
        "task_default_routing_key": "sweep",
        # Nothing but JSON is read, so a message can never run code.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        # No result backend: the record is the result, and a backend costs a third more CPU per message.
        "result_backend": None,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        # Acknowledged when taken. With late ack Celery 5.7.0 ends in an AttributeError when Redis dies in mid-slice;
        # and what makes a crash safe here is not redelivery, it is records and leases.
        "task_acks_late": False,
        # One short repeat. While no message can be published, a process runs its links itself.
        "task_publish_retry_policy": {
            "max_retries": 1,
            "interval_start": 0.1,
            "interval_step": 0.1,
            "interval_max": 0.2,
        },
        "enable_utc": True,
        "timezone": "UTC",
    }


def _worker() -> dict[str, Any]:
    return {
        # Slices only wait for the process's event loop, so threads are all they need; a core is used by one process.
        "worker_pool": "threads",
        # A slice of every step, and as many again: other messages end at once and never wait for a slice.
        "worker_concurrency": 2 * len(STEPS),
        # Both are needed: with one message held back a link waited 18.6 s behind an idle slice (measured).
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        # On the threads pool a soft shutdown ends in NotImplementedError: kill_job. Slices and idle waits end by
        # themselves on worker_shutting_down.
        "worker_soft_shutdown_timeout": 0.0,
        "worker_enable_soft_shutdown_on_idle": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # Limits hold over the cluster, so they are kept in Redis; Celery's are per worker.
        "worker_disable_rate_limits": True,
        "worker_detect_quorum_queues": False,
        # Logging is config/logging's alone.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def _events() -> dict[str, Any]:
    return {
        # Flower lives on these. They cost 70 % more per message, and there are a few messages a second.
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        # Older events expire, so they do not pile up without Flower.
        "event_queue_ttl": 5.0,
        "event_queue_expires": 60.0,
        # Flower asks workers for their state through it.
        "worker_enable_remote_control": True,
    }
