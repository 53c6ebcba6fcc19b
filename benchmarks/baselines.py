"""Runs the baselines beside the stand-in: scripts in a process of their own, the tutorial with a broker and workers."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
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
from cli.local.ports import Ports
from cli.local.programs import ROOT
from cli.local.services import Services
from cli.local.supervisor import Service, Supervisor
from qubico.schemas import KontextRequest

ASKED: Final[dict[str, Any]] = {
    "prompt": PROMPT, "image": IMAGE, "width": 1024, "height": 1024, "steps": 28, "seed": 1,
}  # fmt: skip
SCRIPTS: Final = ("bare", "floor")
CELERY: Final = (
    sys.executable, "-m", "celery", "-A", "benchmarks.tutorial", "worker",
    "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning",
)  # fmt: skip
POOLS: Final = {"threads": "32", "prefork": "8"}
LOOK_EVERY: Final = 0.1  # seconds


@asynccontextmanager
async def beside_standin(provider: Provider) -> AsyncIterator[tuple[int, Path, Ports]]:
    """The stand-in's port, and a folder for the run."""
    ports = Ports()
    port = ports.any()
    with tempfile.TemporaryDirectory(prefix="retouch-bench-") as made:
        folder = Path(made)
        async with Supervisor([standin_part(port, provider, folder=folder)], logs=folder / "logs", say=say, grace=10):
            yield port, folder, ports
    ports.release()


async def script(name: str, provider: Provider, *, edits: int, warm: int, rate: float, gap: float) -> float:
    """Seconds of CPU that so many edits took by `bare` or `floor`."""
    async with beside_standin(provider) as (port, folder, _):
        order = {
            "url": f"http://127.0.0.1:{port}", "folder": str(folder), "warm": warm, "rate": rate, "gap": gap,
            "ids": [f"edit_{ULID()}" for _ in range(warm + edits)], "body": KontextRequest(**ASKED).body().decode(),
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"benchmarks.{name}", cwd=folder, env=bare_environ() | {"PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(STARTED_WITHIN + 10 * edits / rate):
                out, _ = await process.communicate(json.dumps(order).encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return float(json.loads(out)["cpu"])


async def tutorial(pool: str, provider: Provider, *, edits: int, warm: int, rate: float, gap: float) -> float:
    """Seconds of CPU that so many edits took its workers."""
    async with _celery(pool, provider, gap=gap) as (broker, supervisor, port), aiohttp.ClientSession() as http:
        await _send(broker, warm, rate=rate)
        await _stored(http, port, warm, within=STARTED_WITHIN)
        (pid,) = [pid for name, pid in supervisor.pids().items() if name == "worker"]
        before = used_by(pid)[0]
        await _send(broker, edits, rate=rate)
        await _stored(http, port, warm + edits, within=STARTED_WITHIN + 10 * edits / rate)
        return used_by(pid)[0] - before


@asynccontextmanager
async def _celery(pool: str, provider: Provider, *, gap: float) -> AsyncIterator[tuple[str, Supervisor, int]]:
    """The broker's address, the broker and a worker, and the stand-in's port."""
    async with beside_standin(provider) as (port, folder, ports):
        broker = ports.any()
        url = f"redis://127.0.0.1:{broker}/0"
        environ = bare_environ() | {
            "PYTHONPATH": str(ROOT), "BENCH_URL": f"http://127.0.0.1:{port}", "BENCH_FOLDER": str(folder),
            "BENCH_GAP": str(gap), "BENCH_BROKER": url,
        }  # fmt: skip

        async def ready() -> bool:
            return (folder / "ready").exists()

        worker = Service(
            name="worker", command=(*CELERY, "--pool", pool, "--concurrency", POOLS[pool]), environment=environ,
            ready=ready, order=1, start_within=STARTED_WITHIN, folder=folder,
        )  # fmt: skip
        valkey = Services(environment=bare_environ(), folder=folder).valkey(broker, data_dir=folder)
        async with Supervisor([valkey, worker], logs=folder / "logs", say=say, grace=10) as supervisor:
            yield url, supervisor, port


async def _send(broker: str, number: int, *, rate: float) -> None:
    """Sends tasks as a web process would."""
    from celery import Celery  # noqa: PLC0415 - the other baselines need none of it

    loop, body = asyncio.get_running_loop(), KontextRequest(**ASKED).wire()
    with Celery("tutorial", broker=broker) as app:
        began = loop.time()
        for i in range(number):
            await asyncio.sleep(began + i / rate - loop.time())
            app.send_task("benchmarks.tutorial.submit", args=[str(ULID()), body], ignore_result=True)


async def _stored(http: aiohttp.ClientSession, port: int, number: int, *, within: float) -> None:
    """Until so many pictures were fetched, and a moment for the last of them to be written."""
    async with asyncio.timeout(within):
        while True:
            async with http.get(f"http://127.0.0.1:{port}/counters") as response:
                if json.loads(await response.read())["pictures"] >= number:
                    break
            await asyncio.sleep(LOOK_EVERY)
    await asyncio.sleep(5 * LOOK_EVERY)
