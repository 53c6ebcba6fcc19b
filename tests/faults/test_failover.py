"""The primary Redis dies and a Sentinel makes its replica the primary: records and broker are followed there."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis as redis_sync

from tests.faults import valkey
from tests.integration.workers.conftest import environment
from tests.integration.workers.processes import STEPS, all_succeed, rounds_of, worker
from tests.integration.workers.rounds import until
from tests.parts.sandbox import Sandbox
from tests.parts.valkey import free_port, server_binary

pytestmark = pytest.mark.fault


@contextmanager
def sentinel(folder: Path, primary: int) -> Iterator[int]:
    port, settings = free_port(), folder / "sentinel.conf"
    settings.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {folder}\nsentinel monitor main 127.0.0.1 {primary} 1\n"
        "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
    )
    process = subprocess.Popen([server_binary(), str(settings), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait(90)


async def test_failover_to_a_replica(sandbox: Sandbox, tmp_path: Path):
    sandbox.options(latency=0.5, wait=0.01, paint="plain")
    with (
        valkey.own(tmp_path / "primary") as primary,
        valkey.own(tmp_path / "replica", "--replicaof", "127.0.0.1", str(primary.port)) as replica,
        sentinel(tmp_path, primary.port) as port,
    ):
        url = f"sentinel://127.0.0.1:{port}/main"
        environ = environment(f"{url}/0", sandbox, tmp_path) | {"RETOUCH_BROKER_URL": f"{url}/1"}
        with worker(environ, tmp_path) as running, redis_sync.Redis(port=port, decode_responses=True) as asked:
            await until(lambda: asked.sentinel_master("main")["num-slaves"] == 1, within=90)
            await until(lambda: running.chains() == len(STEPS), within=90)
            async with rounds_of(environ, sandbox) as rounds:
                ids = [await rounds.accept(f"number {number}") for number in range(10)]
                with primary.client() as client:
                    client.set("mark", "")
                    assert client.wait(1, 9000) == 1  # a first copy begins five seconds after it is asked for
                primary.kill()
                await until(lambda: replica.client().role()[0] == "master", within=90)
                await until(lambda: asked.sentinel_master("main")["port"] == replica.port, within=90)
                await all_succeed(rounds, ids, within=120)
                await all_succeed(rounds, [await rounds.accept("afterwards")], within=90, before=10)
                await until(lambda: running.chains() == len(STEPS), within=90)
