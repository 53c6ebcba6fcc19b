"""A worker as it is started in production, by Celery's own command: it may be told to stop, and lose its broker."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as redis_sync
from celery import Celery

from config.celery import celery_config
from config.settings import Settings, load
from edits.models import EditStatus
from edits.schedule import Step
from tests.integration.workers.conftest import environment
from tests.integration.workers.rounds import Rounds, until
from tests.parts.sandbox import Sandbox
from tests.parts.valkey import free_port, server_binary, start_server
from workers.clients import open_clients

ROOT = Path(__file__).parents[3]
STEPS = [str(step) for step in Step]


@dataclass
class Worker:
    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def health(self) -> dict[str, Any]:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=2, trust_env=False)
        except httpx.TransportError:
            return {}
        told: dict[str, Any] = answer.json()
        return told

    def chains(self) -> int:
        assert self.process.poll() is None, "the worker ended"
        return int(self.health().get("chains", 0))

    def has_all_chains(self) -> bool:
        return self.chains() == len(STEPS)


@contextlib.contextmanager
def worker(environ: dict[str, str], folder: Path, *options: str) -> Iterator[Worker]:
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-Q", ",".join(STEPS), "-E", *options]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RETOUCH_")}
    with (folder / f"worker-{port}.log").open("wb") as written:
        process = subprocess.Popen(
            [*command, "-n", f"worker-{port}@localhost"],
            cwd=ROOT,
            env=inherited | environ | {"RETOUCH_METRICS__PORT": str(port)},
            stdout=written,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Worker(process, port, Path(written.name))
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(90)


@dataclass
class Events:
    """What a monitor such as Flower hears."""

    app: Celery
    heard: list[dict[str, Any]] = field(default_factory=list)
    receiver: Any = None

    def listen(self) -> None:
        with self.app.connection() as connection:
            self.receiver = self.app.events.Receiver(connection, handlers={"*": self.heard.append})
            self.receiver.capture(limit=None, timeout=None, wakeup=False)

    def names(self) -> set[str]:
        return {event["name"] for event in list(self.heard) if event["type"] == "task-received"}

    def done(self, uuids: list[str]) -> bool:
        return set(uuids) <= {event["uuid"] for event in list(self.heard) if event["type"] == "task-succeeded"}


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[Events]:
    app = Celery("monitor")
    app.conf.update(celery_config(settings))
    events = Events(app)
    thread = threading.Thread(target=events.listen, daemon=True)
    thread.start()
    try:
        yield events
    finally:
        events.receiver.should_stop = True
        thread.join(90)
        app.close()
        assert not thread.is_alive()


@pytest.fixture
def environ(redis_url: str, sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    sandbox.options(latency=0.05, wait=0.01, paint="plain", plain_bytes=4000)
    return environment(redis_url, sandbox, tmp_path)


@contextlib.asynccontextmanager
async def rounds_of(environ: dict[str, str], sandbox: Sandbox) -> AsyncIterator[Rounds]:
    async with open_clients(load(environ, dotenv=None)) as clients:
        yield Rounds(clients, sandbox)


async def all_succeed(rounds: Rounds, ids: list[str], *, within: float = 90, before: int = 0) -> None:
    async def over() -> bool:
        edits = await rounds.clients.repository.get_many(ids)
        return all(edit.status.is_final for edit in edits)

    await until(over, within=within)
    assert {(await rounds.edit(edit_id)).status for edit_id in ids} == {EditStatus.SUCCEEDED}
    assert rounds.bought() == before + len(ids)


async def test_edits_flow_through_a_worker_and_its_events_name_the_steps(
    environ: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    settings = load(environ, dotenv=None)
    with listening(settings) as events, worker(environ, tmp_path) as running:
        async with rounds_of(environ, sandbox) as rounds:
            await all_succeed(rounds, [await rounds.accept(f"number {number}") for number in range(20)])
            await until(running.has_all_chains)
            await until(lambda: events.names() == {f"retouch.{step}" for step in STEPS})

            # Messages that are delivered twice: each is of a link that has run already.
            number = int(await rounds.redis.hget(rounds.key("chain", "poll"), "n0"))
            doubled = [
                events.app.send_task("retouch.poll", args=[0, number - 1 - back], queue="poll").id for back in range(5)
            ]
            await until(lambda: events.done(doubled))
            await until(running.has_all_chains)


async def test_a_terminated_worker_ends_well_and_the_next_one_goes_on(
    environ: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rounds_of(environ, sandbox) as rounds:
        with worker(environ, tmp_path) as first, worker(environ, tmp_path) as second:
            both = 2 * len(STEPS)
            await until(lambda: first.chains() + second.chains() == both)
            ids = [await rounds.accept(f"number {number}") for number in range(10)]
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(90) == 0
            await all_succeed(rounds, ids)
            await until(lambda: second.chains() >= len(STEPS))  # and those too many end with their slice
            second.process.send_signal(signal.SIGTERM)
            assert second.process.wait(90) == 0
        live = await rounds.redis.zcard(rounds.key("live"))
        assert live == 0


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
