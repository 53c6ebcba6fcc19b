"""Celery takes every knob that is set, under the name it is set by, and reaches each kind of broker with it."""

import json
import logging
import ssl

import kombu
import pytest
import redis
from celery import Celery
from celery.app.defaults import DEFAULTS
from celery.worker.consumer.gossip import Gossip
from celery.worker.consumer.mingle import Mingle
from kombu.transport.redis import Channel, SentinelChannel

from config import celery as celery_settings
from config.settings import SettingsError, load
from tests.parts.valkey import free_port, server_binary, start_server


def config_for(url, **environ):
    return celery_settings.celery_config(load({"RETOUCH_REDIS_URL": url, **environ}, None))


def app_for(url, *, amqp=None, **environ):
    app = Celery("retouch", set_as_current=False, amqp=amqp)
    app.conf.update(config_for(url, **environ))
    return app


def connection_of(app):
    """What kombu would connect with, without connecting."""
    with app.connection_for_write() as connection:
        # A channel made by hand: the usual way is to connect first.
        channel = connection.transport.Channel.__new__(connection.transport.Channel)
        channel.connection = connection.transport
        channel.max_connections = 1
        channel.__dict__.update(connection.transport_options)
        return channel._connparams()


def test_every_knob_is_one_that_celery_knows():
    unknown = config_for("redis://h/0").keys() - DEFAULTS.keys()
    assert unknown == set()


def test_every_transport_option_is_one_that_kombu_reads():
    assert config_for("redis://h/0")["broker_transport_options"].keys() <= set(Channel.from_transport_options)
    sentinel = config_for("sentinel://h1,h2/main")["broker_transport_options"]
    assert sentinel.keys() <= set(SentinelChannel.from_transport_options)


def test_a_broker_that_is_away_is_looked_for_every_two_seconds(monkeypatch: pytest.MonkeyPatch):
    """As Celery's consumer does it: with its own function and no intervals."""
    monkeypatch.setattr(kombu.utils.functional, "sleep", lambda _seconds: None)
    waits: list[float] = []
    app = app_for(f"redis://127.0.0.1:{free_port()}/0", amqp=celery_settings.SteadyAMQP)
    with app.connection_for_read() as connection, pytest.raises(kombu.exceptions.OperationalError):
        connection.ensure_connection(lambda _exc, interval: waits.append(interval), 20, callback=lambda: None)
    assert waits == [2.0] * 20


def test_the_knobs_that_were_measured_have_their_values():
    conf = app_for("redis://h/0").conf
    assert conf.task_acks_late is False
    assert conf.broker_channel_error_retry is True
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_disable_prefetch is True
    assert conf.result_backend is None
    assert conf.task_ignore_result is True
    assert conf.worker_pool == "threads"
    assert conf.worker_soft_shutdown_timeout == 0
    assert conf.broker_connection_max_retries is None
    assert conf.worker_send_task_events is True
    options = conf.broker_transport_options
    assert (options["visibility_timeout"], options["unacked_restore_interval"]) == (120, 30)
    assert options["unacked_restore_throttle"] == 1
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (5, 2)
    assert options["health_check_interval"] == 10


@pytest.mark.parametrize("step", celery_settings.STEPS)
def test_a_task_goes_to_the_queue_of_its_step(step):
    app = app_for("redis://h/0")
    route = app.amqp.router.route({}, f"retouch.{step}", (), {})
    assert route["queue"].name == step
    assert route["routing_key"] == step


def test_a_queue_that_nobody_reads_is_not_made():
    app = app_for("redis://h/0")
    with pytest.raises(Exception, match=r"retouch\.sumbit"):
        app.amqp.router.route({"queue": "retouch.sumbit"}, "retouch.submit", (), {})


def test_only_json_is_taken():
    conf = app_for("redis://h/0").conf
    assert conf.accept_content == ["json"]
    assert (conf.task_serializer, conf.result_serializer, conf.event_serializer) == ("json", "json", "json")


def test_without_a_broker_celery_is_not_configured():
    with pytest.raises(SettingsError, match="RETOUCH_BROKER_URL"):
        celery_settings.celery_config(load({}, None))


@pytest.mark.parametrize(
    ("redis_url", "broker_url"),
    [
        ("redis://:p%40w@h:6380/3", "redis://:p%40w@h:6380/4"),
        ("redis://[::1]/0", "redis://[::1]:6379/1"),
        ("rediss://h/0?ssl_ca_certs=/ca.pem", "rediss://h:6379/1"),
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock?virtual_host=1"),
        ("sentinel://:pw@h1,h2:2000/main/2", "sentinel://:pw@h1:26379/3;sentinel://:pw@h2:2000/3"),
    ],
)
def test_kombu_gets_the_broker_in_its_own_spelling(redis_url, broker_url):
    assert config_for(redis_url)["broker_url"] == broker_url


def test_a_broker_over_tls_is_verified(caplog):
    with caplog.at_level(logging.WARNING):
        params = connection_of(app_for("rediss://h/0?ssl_ca_certs=/ca.pem"))
    assert params["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    assert params["ssl_check_hostname"] is True
    assert params["ssl_ca_certs"] == "/ca.pem"
    assert "insecure" not in caplog.text


def test_a_hung_broker_is_given_up_after_the_timeout_and_not_asked_again():
    params = connection_of(app_for("redis://127.0.0.1/0"))
    connection = redis.ConnectionPool(**params).make_connection()
    assert (connection.socket_timeout, connection.socket_connect_timeout) == (5, 2)
    assert connection.retry.get_retries() == 0


def test_the_sentinels_and_their_master_are_known():
    app = app_for("sentinel://h1,h2:2000/main/2")
    with app.connection_for_write() as connection:
        assert connection.transport_options["master_name"] == "main"
        assert [kombu.utils.url.parse_url(url)["port"] for url in connection.alt] == [26379, 2000]
        assert connection.virtual_host == "3"


def test_a_message_lands_in_the_namespace_and_the_database_of_the_broker(redis_url, valkey_port):
    app = app_for(redis_url, RETOUCH_NAMESPACE="shop")
    app.send_task("retouch.submit")
    with redis.Redis(port=valkey_port, db=1) as client:
        assert client.llen("shop:submit") == 1
        (message,) = client.lrange("shop:submit", 0, -1)
    assert json.loads(message)["headers"]["task"] == "retouch.submit"
    with redis.Redis(port=valkey_port, db=0) as client:
        assert client.dbsize() == 0


def test_a_message_goes_through_a_unix_socket(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s")
    path = folder / "v.sock"
    server = start_server(server_binary(), folder, free_port(), "--unixsocket", str(path))
    try:
        app_for(f"unix://{path}?db=2").send_task("retouch.poll")
        with redis.Redis(unix_socket_path=str(path), db=3) as client:
            assert client.llen("retouch:poll") == 1
    finally:
        server.terminate()
        server.wait(90)


def test_workers_do_not_ask_their_neighbours(redis_url, monkeypatch):
    monkeypatch.setattr(Gossip, "compatible_transports", Gossip.compatible_transports)
    monkeypatch.setattr(Mingle, "compatible_transports", Mingle.compatible_transports)
    app = app_for(redis_url)
    consumer = type("Consumer", (), {"app": app, "hostname": "h", "pid": 1, "timer": None, "hub": None})()
    assert Mingle(consumer).enabled
    celery_settings.leave_neighbours_alone()
    assert not Mingle(consumer).enabled
    assert not Gossip(consumer).enabled
