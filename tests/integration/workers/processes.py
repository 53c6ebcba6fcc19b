"""A worker as started in production, seen from outside."""

import ast
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from celery import Celery

from config.celery import celery_config
from config.settings import Settings, load
from edits.models import EditStatus, Step
from tests.integration.workers.rounds import Rounds, until
from tests.parts.sandbox import Sandbox
from tests.parts.valkey import free_port
from workers.clients import open_clients

ROOT = Path(__file__).parents[3]
STEPS = [str(step) for step in Step]


@dataclass
class Worker:
    process: "subprocess.Popen[bytes]"
    port: int
    log: Path
    name: str
    steps: Sequence[str]

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
        return self.chains() == len(self.steps)


@contextlib.contextmanager
def worker(environ: dict[str, str], folder: Path, *options: str, steps: Sequence[str] = STEPS) -> Iterator[Worker]:
    """With `options`, which are Celery's, by Celery's own command."""
    port = free_port()
    name = f"worker-{port}"
    queues = ",".join(steps)
    own = ["-m", "workers", "--steps", queues, "--name", name]
    celery = ["-m", "celery", "-A", "workers.app", "worker", "-Q", queues, "-E", "-n", f"{name}@%h", *options]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RETOUCH_")}
    with (folder / f"{name}.log").open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, *(celery if options else own)],
            cwd=ROOT,
            env=inherited | environ | {"RETOUCH_METRICS__PORT": str(port)},
            stdout=written,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Worker(process, port, Path(written.name), name, steps)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(90)


@dataclass
class Processes:
    """The worker processes of one system."""

    environ: dict[str, str]
    folder: Path
    opened: contextlib.ExitStack
    running: list[Worker] = field(default_factory=list)

    def start(self, steps: Sequence[str]) -> Worker:
        started = self.opened.enter_context(worker(self.environ, self.folder, steps=steps))
        self.running.append(started)
        return started

    async def replace(self, place: int, steps: Sequence[str], by: signal.Signals) -> None:
        ending = self.running.pop(place)
        ending.process.send_signal(by)
        await until(lambda: ending.process.poll() is not None)
        assert ending.process.returncode == (0 if by is signal.SIGTERM else -by)
        await until(self.start(steps).has_all_chains)

    async def all_run(self) -> None:
        for one in self.running:
            await until(one.has_all_chains)

    def none_ended(self) -> None:
        assert [one.process.poll() for one in self.running] == [None] * len(self.running)


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

    def links(self) -> list[tuple[str, str, int]]:
        """Worker, step and number of each link that was received, in that order."""
        return [
            (
                event["hostname"].partition("@")[0],
                event["name"].removeprefix("retouch."),
                ast.literal_eval(event["args"])[1],
            )
            for event in list(self.heard)
            if event["type"] == "task-received" and event["name"].removeprefix("retouch.") in STEPS
        ]

    def names(self) -> set[str]:
        return {event["name"] for event in list(self.heard) if event["type"] == "task-received"}

    def said_every(self) -> set[float]:
        """Seconds between two events by which a worker says that it is there."""
        return {event["freq"] for event in list(self.heard) if event["type"].startswith("worker-")}

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
