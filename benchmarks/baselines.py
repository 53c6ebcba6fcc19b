"""Runs the baselines beside the stand-in: the floor in a process of its own, the queues with a broker and workers."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from ulid import ULID

from benchmarks.parts import STARTED_WITHIN, bare_environ, standin_part
from benchmarks.provider import Provider
from benchmarks.rounds import say
from benchmarks.system import IMAGE, PROMPT
from benchmarks.used import used_by
from cli.local import services
from cli.local.ports import Ports
from cli.local.programs import ROOT
from cli.local.supervisor import Part, Supervisor
from qubico.schemas import KontextRequest

ASKED: Final[dict[str, Any]] = {
    "prompt": PROMPT, "image": IMAGE, "width": 1024, "height": 1024, "steps": 28, "seed": 1,
}  # fmt: skip
CELERY: Final = (sys.executable, "-m", "celery", "-A", "benchmarks.tutorial", "worker")
TASKIQ: Final = (sys.executable, "-m", "taskiq")
POOLS: Final = {"threads": ("threads", "32"), "prefork": ("prefork", "8")}
LOOK_EVERY: Final = 0.1  # seconds


@asynccontextmanager
async def beside_standin(provider: Provider) -> AsyncIterator[tuple[int, Path, Ports]]:
    """The stand-in's port, and a folder that goes with it."""
    ports = Ports()
    port = ports.any()
    with tempfile.TemporaryDirectory(prefix="retouch-bench-") as made:
        folder = Path(made)
        part = standin_part(port, provider, folder=folder)
        async with Supervisor([part], logs=folder / "logs", say=say, grace=10):
            yield port, folder, ports
    ports.release()


async def floor(provider: Provider, *, edits: int, warm: int, rate: float, gap: float) -> float:
    """Seconds of CPU that so many edits took."""
    async with beside_standin(provider) as (port, folder, _):
        told = {
            "url": f"http://127.0.0.1:{port}", "hosts": [f"127.0.0.1:{port}"], "storage": f"file://{folder}/objects",
            "ids": [f"edit_{ULID()}" for _ in range(warm + edits)], "warm": warm, "rate": rate, "gap": gap,
            "asked": ASKED,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.floor", cwd=folder, env=bare_environ() | {"PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(STARTED_WITHIN + 10 * edits / rate):
                out, _ = await process.communicate(json.dumps(told).encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return float(json.loads(out)["cpu"])


async def tutorial(provider: Provider, *, pool: str, edits: int, warm: int, rate: float, gap: float) -> float:
    """Seconds of CPU of its workers for so many edits."""
    command = (
        *CELERY, "--pool", POOLS[pool][0], "--concurrency", POOLS[pool][1],
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning",
    )  # fmt: skip
    async with _queued(provider, {"worker": command}, gap=gap) as queued:
        return await queued.spent_on(edits, warm=warm, rate=rate, put=_by_celery(queued.broker))


async def deferred(provider: Provider, *, edits: int, warm: int, rate: float, gap: float) -> float:
    """Of taskiq: its worker and its scheduler."""
    commands = {
        "worker": (*TASKIQ, "worker", "benchmarks.deferred:broker", "--workers", "1", "--log-level", "WARNING"),
        "scheduler": (
            *TASKIQ, "scheduler", "benchmarks.deferred:scheduler", "--update-interval", "1", "--log-level", "WARNING",
        ),
    }  # fmt: skip
    async with _queued(provider, commands, gap=gap) as queued, _by_taskiq(queued.broker) as put:
        return await queued.spent_on(edits, warm=warm, rate=rate, put=put)


Put = Callable[[str, dict[str, Any]], Awaitable[None]]
"""Puts an edit on a queue as a web process would."""


@dataclass(frozen=True, slots=True)
class _Queued:
    """A broker and the processes of a design that works from it, beside the stand-in."""

    broker: str
    supervisor: Supervisor
    standin: int

    async def spent_on(self, edits: int, *, warm: int, rate: float, put: Put) -> float:
        async with aiohttp.ClientSession() as http:
            await _evenly(put, warm, rate=rate)
            await _copied(http, self.standin, warm, within=STARTED_WITHIN)
            before = self._spent()
            await _evenly(put, edits, rate=rate)
            await _copied(http, self.standin, warm + edits, within=STARTED_WITHIN + 10 * edits / rate)
            return self._spent() - before

    def _spent(self) -> float:
        return sum(used_by(pid)[0] for name, pid in self.supervisor.pids().items() if name != "valkey")


@asynccontextmanager
async def _queued(provider: Provider, commands: Mapping[str, Sequence[str]], *, gap: float) -> AsyncIterator[_Queued]:
    async with beside_standin(provider) as (port, folder, ports):
        broker = ports.any()
        url = f"redis://127.0.0.1:{broker}/0"
        environ = bare_environ() | {
            "PYTHONPATH": str(ROOT),
            "BENCH_URL": f"http://127.0.0.1:{port}", "BENCH_FOLDER": str(folder), "BENCH_GAP": str(gap),
            "BENCH_BROKER": url,
        }  # fmt: skip

        async def ready() -> bool:
            return (folder / "ready").exists()

        kept = [services.valkey(broker, data_dir=folder, environment=bare_environ(), folder=folder)] + [
            Part(
                name=name, command=tuple(command), environment=environ, ready=ready, order=1,
                start_within=STARTED_WITHIN, folder=folder,
            )
            for name, command in commands.items()
        ]  # fmt: skip
        async with Supervisor(kept, logs=folder / "logs", say=say, grace=10) as supervisor:
            yield _Queued(url, supervisor, port)


def _by_celery(broker: str) -> Put:
    from celery import Celery  # noqa: PLC0415 - the other baselines need none of it

    app = Celery("tutorial", broker=broker)

    async def put(edit_id: str, asked: dict[str, Any]) -> None:
        body = KontextRequest(**asked).wire()
        app.send_task("benchmarks.tutorial.submit", args=[edit_id, body], ignore_result=True)

    return put


@asynccontextmanager
async def _by_taskiq(broker: str) -> AsyncIterator[Put]:
    from taskiq.kicker import AsyncKicker  # noqa: PLC0415 - it may not be there
    from taskiq_redis import ListQueueBroker  # noqa: PLC0415

    queue: Any = ListQueueBroker(broker)

    async def put(edit_id: str, asked: dict[str, Any]) -> None:
        await AsyncKicker("submit", queue, {}).kiq(edit_id, asked)

    await queue.startup()
    try:
        yield put
    finally:
        await queue.shutdown()


async def _evenly(put: Put, number: int, *, rate: float) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for i in range(number):
        await asyncio.sleep(began + i / rate - loop.time())
        await put(str(ULID()), ASKED)


async def _copied(http: aiohttp.ClientSession, port: int, number: int, *, within: float) -> None:
    """Until so many pictures were fetched, and a moment for the last of them to be written."""
    async with asyncio.timeout(within):
        while True:
            async with http.get(f"http://127.0.0.1:{port}/counters") as answer:
                if json.loads(await answer.read())["pictures"] >= number:
                    break
            await asyncio.sleep(LOOK_EVERY)
    await asyncio.sleep(5 * LOOK_EVERY)
