"""The sandbox as the program users start: uvicorn, settings from the environment, a ledger that survives a kill."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.sandbox.conftest import Caller
from tests.parts.sandbox import run_sandbox
from tests.parts.valkey import free_port

ROOT = Path(__file__).parents[3]


@contextmanager
def process(port: int, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "uvicorn", "qubico.sandbox.app:app", "--port", str(port), "--log-level", "error"]
    running = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.PIPE)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.terminate()
        _, _ = running.communicate(timeout=90)


async def ready(port: int) -> None:
    async with httpx.AsyncClient(timeout=90, trust_env=False) as http:
        for _ in range(9000):
            try:
                if (await http.get(f"http://127.0.0.1:{port}/sandbox/health")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.02)
    raise AssertionError("the sandbox did not start")


def client(port: int, key: str) -> httpx.AsyncClient:
    headers = {"X-API-Key": key}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=90, trust_env=False)


async def test_settings_come_from_the_environment_and_tasks_survive_a_kill(tmp_path: Path) -> None:
    port = free_port()
    settings = {
        "SANDBOX_API_KEY": "k1",
        "SANDBOX_DATA_DIR": str(tmp_path),
        "SANDBOX_PAINT": "small",
        "SANDBOX_WAIT": "0",
        "SANDBOX_LATENCY": "0.5",
        "SANDBOX_NEXT_FAULTS": '{"html_502": 1}',
    }
    with process(port, **settings) as first:
        await ready(port)
        async with client(port, "k1") as http:
            assert (await Caller(http).create("lost answer")).status_code == 502
            done = await Caller(http).bought("winter")
            before = (await Caller(http).result(done)).content
            cut = await Caller(http).bought("night")
        first.send_signal(signal.SIGKILL)
        first.wait(90)
    with (tmp_path / "tasks.jsonl").open("a") as journal:
        journal.write('\n{"task_id": "half a li')
    with process(port, **settings):
        await ready(port)
        async with client(port, "k1") as http:
            api = Caller(http)
            assert (await api.shown(cut))["status"] == "completed"
            assert (await api.result(done)).content == before
            ledger = (await http.get("/sandbox/ledger")).json()
            assert [row["prompt"] for row in ledger["tasks"]] == ["lost answer", "winter", "night"]
            rows = (await http.get("/api/open/tasks/histories")).json()["data"]["data"]
            assert len(rows) == 3


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("SANDBOX_LATENCY", "fast", "SANDBOX_LATENCY"), ("SANDBOX_NEXT_FAULTS", "{", "SANDBOX_NEXT_FAULTS")],
)
def test_a_bad_setting_stops_the_start_and_is_named(name: str, value: str, text: str) -> None:
    with process(free_port(), **{name: value}) as running:
        _, errors = running.communicate(timeout=90)
    assert running.returncode == 2
    assert text in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_a_sandbox_stops_quietly_while_a_caller_still_hangs(caplog: pytest.LogCaptureFixture) -> None:
    with run_sandbox(outage="hang") as own:
        async with httpx.AsyncClient(timeout=90, trust_env=False) as http:
            hanging = asyncio.create_task(http.get(f"{own.base_url}/account/info"))
            for _ in range(9000):
                if (await asyncio.to_thread(own.stats))["account_reads"]:
                    break
                await asyncio.sleep(0.01)
            assert not hanging.done()
            own.stop()
            with pytest.raises(httpx.TransportError):
                await hanging
    assert "Exception in ASGI application" not in caplog.text
