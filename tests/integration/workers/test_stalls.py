"""A worker whose loop is blocked or whose chain stands still ends by itself; one that waits for others does not."""

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest
from celery import Celery

from config.celery import celery_config
from config.settings import load
from runtime import watchdog
from tests.integration.workers.processes import STEPS, Worker, all_succeed, rounds_of, worker
from tests.integration.workers.rounds import until
from tests.parts.sandbox import Sandbox
from tests.parts.valkey import free_port, server_binary, start_server

WEDGES = ("-I", "tests.parts.wedges")
LIMIT = 3.0
SHORT = {"RETOUCH_STALL_LIMIT": f"{LIMIT:g}s"}


def send(environ: dict[str, str], wedge: str, *, times: int = 1) -> None:
    app = Celery("test")
    app.conf.update(celery_config(load(environ, dotenv=None)))
    for _ in range(times):
        app.send_task(f"wedge.{wedge}", args=[LIMIT], queue="poll")
    app.close()


def status(running: Worker) -> int:
    """Of /healthz; 0 without an answer."""
    try:
        return httpx.get(f"http://127.0.0.1:{running.port}/healthz", timeout=1, trust_env=False).status_code
    except httpx.TransportError:
        return 0


@pytest.mark.fault
@pytest.mark.parametrize(
    ("wedge", "named"),
    [
        pytest.param("loop", "event loop", id="its loop is blocked"),
        pytest.param("consumer", "chain of", id="its consumer takes no message"),
        pytest.param("chain", "chain of poll", id="a claim hangs"),
        pytest.param("pool", "chain of", id="its threads are lost"),
    ],
)
async def test_a_worker_that_stands_still_says_what_and_ends(
    environ: dict[str, str], sandbox: Sandbox, tmp_path: Path, wedge: str, named: str
) -> None:
    environ |= SHORT | {"RETOUCH_SHUTDOWN_GRACE": "5s"}
    with worker(environ, tmp_path, *WEDGES) as stalling:
        await until(stalling.has_all_chains)
        await until(lambda: status(stalling) == 200)
        send(environ, wedge, times=2 * len(STEPS) if wedge == "pool" else 1)
        async with rounds_of(environ, sandbox) as rounds:

            async def shown() -> bool:
                await rounds.accept()  # a chain that has worked sends its next link
                return status(stalling) != 200

            await until(shown)
        await until(lambda: stalling.process.poll() is not None)
        assert stalling.process.returncode == watchdog.STALLED
        [told] = [line for line in stalling.log.read_text().splitlines() if "process.stalled" in line]
        assert named in told
        assert "Thread 0x" in stalling.log.read_text()  # where each thread stood


@pytest.mark.fault
async def test_a_redis_that_is_away_or_a_process_that_was_stopped_is_no_stall(
    environ: dict[str, str], sandbox: Sandbox, tmp_path: Path
) -> None:
    port = free_port()
    environ |= SHORT | {"RETOUCH_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
    server = start_server(server_binary(), tmp_path / "valkey", port)
    try:
        with worker(environ, tmp_path, *WEDGES) as running:
            await until(running.has_all_chains)
            send(environ, "none")
            await until(lambda: "wedge.hastened" in running.log.read_text())
            running.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(LIMIT + 1)  # as a laptop's sleep would be
            running.process.send_signal(signal.SIGCONT)
            server.kill()
            server.wait(90)
            lasted = time.monotonic()
            await until(lambda: time.monotonic() - lasted > 2 * LIMIT or running.process.poll() is not None)
            await until(lambda: status(running) == 200)
            server = start_server(server_binary(), tmp_path / "valkey", port)
            async with rounds_of(environ, sandbox) as rounds:
                await all_succeed(rounds, [await rounds.accept()])
            await until(lambda: status(running) == 200)
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(90) == 0
    finally:
        server.terminate()
        server.wait(90)


async def test_a_worker_ends_when_the_redis_that_comes_back_may_not_keep_edits(
    environ: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    environ |= {"RETOUCH_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
    with worker(environ, tmp_path) as running:
        await until(lambda: status(running) == 200)
        server = start_server(server_binary(), tmp_path / "valkey", port, "--maxmemory-policy", "allkeys-lru")
        try:
            await until(lambda: running.process.poll() is not None)
            assert running.process.returncode == 2
            assert "its maxmemory-policy allkeys-lru may throw accepted edits away" in running.log.read_text()
        finally:
            server.terminate()
            server.wait(90)
