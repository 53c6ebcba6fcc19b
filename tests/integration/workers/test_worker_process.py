"""A worker as started in production: it is stopped, and loses its broker."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import redis as redis_sync

from config.celery import FLOWER_HEARTBEAT
from config.settings import load
from tests.integration.workers.processes import ROOT, STEPS, all_succeed, listening, rounds_of, worker
from tests.integration.workers.rounds import until
from tests.parts.sandbox import Sandbox
from tests.parts.valkey import free_port, server_binary, start_server


async def test_edits_flow_through_a_worker_and_its_events_name_the_steps(
    environ: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    settings = load(environ, dotenv=None)
    with listening(settings) as events, worker(environ, tmp_path) as running:
        async with rounds_of(environ, sandbox) as rounds:
            await all_succeed(rounds, [await rounds.accept(f"number {number}") for number in range(20)])
            await until(running.has_all_chains)
            await until(lambda: events.names() >= {f"retouch.{step}" for step in STEPS})
            await until(lambda: events.said_every() == {FLOWER_HEARTBEAT})

            # Links of another process and of an older release: each ends at once.
            others = [["process.of-another", 1], [0, 17], [0, 18], [], [{"slot": 0}]]
            ids = [
                events.app.send_task(f"retouch.{step}", args=args, queue=step).id for step in STEPS for args in others
            ]
            await until(lambda: events.done(ids))
            await until(running.has_all_chains)


async def test_links_run_on_the_process_that_sent_them(environ: dict[str, str], tmp_path: Path) -> None:
    with listening(load(environ, dotenv=None)) as events:
        with worker(environ, tmp_path) as first, worker(environ, tmp_path, steps=["poll", "store"]) as second:
            await until(first.has_all_chains)
            await until(second.has_all_chains)
            expected = {(first.name, step, 1) for step in STEPS} | {(second.name, step, 1) for step in second.steps}
            await until(lambda: set(events.links()) >= expected)
        assert len(events.links()) == len(set(events.links()))


async def test_a_terminated_worker_ends_well_and_the_next_one_goes_on(
    environ: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rounds_of(environ, sandbox) as rounds:
        with worker(environ, tmp_path) as first, worker(environ, tmp_path) as second:
            await until(first.has_all_chains)
            await until(second.has_all_chains)
            ids = [await rounds.accept(f"number {number}") for number in range(10)]
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(90) == 0
            await all_succeed(rounds, ids)
            assert second.has_all_chains()
            second.process.send_signal(signal.SIGINT)
            assert second.process.wait(90) == 130
        live = await rounds.redis.zcard(rounds.key("live"))
        assert live == 0
    with redis_sync.Redis.from_url(load(environ, dotenv=None).broker_url) as broker:
        assert list(broker.scan_iter("*process.*")) == []  # no queue is left


async def test_a_killed_worker_leaves_nothing_for_ever(environ: dict[str, str], tmp_path: Path) -> None:
    broker_url = load(environ, dotenv=None).broker_url
    assert broker_url is not None
    with redis_sync.Redis.from_url(broker_url, decode_responses=True) as broker, worker(environ, tmp_path) as running:
        broker.config_set("notify-keyspace-events", "Eg")
        with broker.pubsub(ignore_subscribe_messages=True) as expiries:
            expiries.subscribe("__keyevent@1__:expire")
            expiries.get_message(timeout=10)  # it is subscribed
            await until(running.has_all_chains)
            running.process.kill()
            keys = set()
            while (heard := expiries.get_message(timeout=1)) is not None:
                keys.add(str(heard["data"]))
        broker.config_set("notify-keyspace-events", "")
        assert any(":process." in key for key in keys), keys  # each link renews the expiry
        assert all(broker.ttl(key) > 0 for key in broker.scan_iter("*process.*"))
        assert list(broker.scan_iter("*unacked*")) == []  # Celery would restore such a message without an expiry
        bound = {member for key in broker.scan_iter("*_kombu.binding.*") for member in broker.smembers(key)}
        assert not [member for member in bound if "process." in member], "a binding has no expiry"


async def test_a_broker_that_is_emptied_at_work_loses_no_edit(
    environ: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    settings = load(environ, dotenv=None)
    assert settings.broker_url is not None
    async with rounds_of(environ, sandbox) as rounds:
        with worker(environ, tmp_path) as running, redis_sync.Redis.from_url(settings.broker_url) as broker:
            await until(running.has_all_chains)
            ids = []
            for number in range(20):
                ids.append(await rounds.accept(f"number {number}"))
                broker.flushdb()
            await all_succeed(rounds, ids)
            await until(running.has_all_chains)


async def test_a_worker_outlasts_a_restart_of_redis(environ: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> None:
    port = free_port()
    environ["RETOUCH_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    server = start_server(server_binary(), tmp_path / "valkey", port)
    try:
        with worker(environ, tmp_path) as running:
            await until(running.has_all_chains)
            async with rounds_of(environ, sandbox) as rounds:
                ids = [await rounds.accept(f"number {number}") for number in range(20)]
                await until(lambda: rounds.bought() > 0)
                server.kill()
                server.wait(90)
                server = start_server(server_binary(), tmp_path / "valkey", port)
                ids.append(await rounds.accept("afterwards"))
                await all_succeed(rounds, ids)
                await until(running.has_all_chains)
    finally:
        server.terminate()
        server.wait(90)


async def test_a_broker_that_takes_no_messages_stops_no_work(
    environ: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    """It is out of memory: chains go on, and begin, in the process itself, until messages are taken again."""
    port = free_port()
    environ["RETOUCH_BROKER_URL"] = f"redis://127.0.0.1:{port}/0"
    server = start_server(server_binary(), tmp_path / "broker", port)
    try:
        with redis_sync.Redis(port=port) as broker, worker(environ, tmp_path) as running:
            await until(running.has_all_chains)
            broker.config_set("maxmemory", 1)
            async with rounds_of(environ, sandbox) as rounds:
                await all_succeed(rounds, [await rounds.accept(f"number {number}") for number in range(10)])
                broker.config_set("maxmemory", 0)
                await until(running.has_all_chains)
                await all_succeed(rounds, [await rounds.accept("afterwards")], before=10)
    finally:
        server.terminate()
        server.wait(90)


def test_a_step_that_is_none_is_refused(environ: dict[str, str]) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "workers", "--steps", "poll,paint"],
        cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert answer.returncode == 2
    assert "--steps: no step paint; the steps are submit,poll,store,adopt,sweep" in answer.stderr
