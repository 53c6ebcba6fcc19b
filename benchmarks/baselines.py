"""Runs the baselines beside the stand-in: the floor in a process of its own, the tutorial with a broker and workers."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from ulid import ULID

from benchmarks.parts import STARTED_WITHIN, bare_environ, standin_part
from benchmarks.provider import Provider
from benchmarks.rounds import say
from benchmarks.system import IMAGE, PROMPT
from benchmarks.used import used_by
from cli import parts
from cli.commands import ROOT
from cli.ports import Ports
from cli.supervisor import Part, Supervisor
from qubico.schemas import KontextRequest

ASKED: Final[dict[str, Any]] = {
    "prompt": PROMPT, "image": IMAGE, "width": 1024, "height": 1024, "steps": 28, "seed": 1,
}  # fmt: skip
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
    async with beside_standin(provider) as (port, folder, ports):
        broker = ports.any()
        environ = bare_environ() | {
            "PYTHONPATH": str(ROOT), "BENCH_URL": f"http://127.0.0.1:{port}", "BENCH_FOLDER": str(folder),
            "BENCH_GAP": str(gap), "BENCH_BROKER": f"redis://127.0.0.1:{broker}/0",
        }  # fmt: skip
        kept = [
            parts.valkey(broker, data_dir=folder, environment=bare_environ(), folder=folder),
            _celery(*POOLS[pool], environ=environ, folder=folder),
        ]
        async with (
            Supervisor(kept, logs=folder / "logs", say=say, grace=10) as supervisor,
            aiohttp.ClientSession() as http,
        ):
            sent = _Sender(environ["BENCH_BROKER"], rate)
            await sent.send(warm)
            await _copied(http, port, warm, within=STARTED_WITHIN)
            pid = supervisor.pids()["tutorial"]
            before = used_by(pid)[0]
            await sent.send(edits)
            await _copied(http, port, warm + edits, within=STARTED_WITHIN + 10 * edits / rate)
            return used_by(pid)[0] - before


def _celery(pool: str, concurrency: str, *, environ: dict[str, str], folder: Path) -> Part:
    async def ready() -> bool:
        return (folder / "ready").exists()

    command: Sequence[str] = (
        sys.executable, "-m", "celery", "-A", "benchmarks.tutorial", "worker", "--pool", pool, "--concurrency",
        concurrency, "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning",
    )  # fmt: skip
    return Part(
        name="tutorial", command=tuple(command), environment=environ, ready=ready, order=1,
        start_within=STARTED_WITHIN, folder=folder,
    )  # fmt: skip


class _Sender:
    """Puts messages on the tutorial's queue as its web process would."""

    def __init__(self, broker: str, rate: float) -> None:
        from celery import Celery  # noqa: PLC0415 - the other baseline needs none of it

        self._app = Celery("tutorial", broker=broker)
        self._rate = rate

    async def send(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        began, body = loop.time(), KontextRequest(**ASKED).wire()
        for i in range(number):
            await asyncio.sleep(began + i / self._rate - loop.time())
            self._app.send_task("benchmarks.tutorial.submit", args=[str(ULID()), body], ignore_result=True)


async def _copied(http: aiohttp.ClientSession, port: int, number: int, *, within: float) -> None:
    """Until so many pictures were fetched, and a moment for the last of them to be written."""
    async with asyncio.timeout(within):
        while True:
            async with http.get(f"http://127.0.0.1:{port}/counters") as answer:
                if json.loads(await answer.read())["pictures"] >= number:
                    break
            await asyncio.sleep(LOOK_EVERY)
    await asyncio.sleep(5 * LOOK_EVERY)
