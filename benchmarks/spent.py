"""A Valkey of its own, as `retouch up` starts it, and what it has spent: CPU is that of its main thread, in µs."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as NotUp

from cli.local.ports import Ports
from cli.local.programs import valkey
from edits.db.connection import connect

OWN: Final = frozenset(
    [
        "evalsha",
        "info",
        "ping",
        "hello",
        "select",
        "client|setinfo",
        "client|setname",
        "script|load",
        "config|resetstat",
    ]
)
"""Commands of connections and of the measurement."""


@asynccontextmanager
async def server(fsync: str = "always") -> AsyncIterator[Redis]:
    ports = Ports()
    port = ports.any()
    with tempfile.TemporaryDirectory() as folder:
        command = [fsync if word == "always" else word for word in valkey(port, Path(folder))]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        client = connect(f"redis://127.0.0.1:{port}/0")
        try:
            await _until_up(client)
            yield client
        finally:
            await client.aclose()
            process.terminate()
            await process.wait()
            ports.release()


async def _until_up(client: Redis) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.ping()
            except (NotUp, BusyLoadingError):
                await asyncio.sleep(0.05)
            else:
                return


async def spent(client: Redis) -> dict[str, float]:
    told = await client.info("everything")
    calls = {name.removeprefix("cmdstat_"): row["calls"] for name, row in told.items() if name.startswith("cmdstat_")}
    cpu = [told.get(f"used_cpu_{kind}_main_thread", told[f"used_cpu_{kind}"]) for kind in ("user", "sys")]
    return {
        "cpu": sum(cpu) * 1e6,
        "calls": calls.get("evalsha", 0),
        "commands": sum(n for name, n in calls.items() if name not in OWN),
        "trips": told["total_reads_processed"],
        "bytes in": told["total_net_input_bytes"],
        "bytes out": told["total_net_output_bytes"],
        "log": told["aof_current_size"],
        "memory": told["used_memory"],
    }
