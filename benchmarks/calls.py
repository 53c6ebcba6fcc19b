"""What one call of the provider's client costs, in instructions: the same on a busy machine. It needs valgrind.

python -m benchmarks.calls get      or create, or download
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.baselines import ASKED, beside_standin
from benchmarks.provider import Provider
from qubico.client import QubicoClient
from qubico.schemas import KontextRequest

CALLS: Final = {"get": 200, "create": 100, "download": 40}
WARM: Final = 10  # calls that are not counted
NEVER: Final = 10**9  # reads: a task that is not seen to end

Call = Callable[[], Awaitable[object]]


async def _counted(call: Call, number: int) -> None:
    for _ in range(WARM):
        await call()
    _instrument("on")
    for _ in range(number):
        await call()
    _instrument("off")


def _instrument(how: str) -> None:
    subprocess.run(["callgrind_control", "-i", how, str(os.getpid())], check=True, stdout=subprocess.DEVNULL)  # noqa: S607


async def work(what: str, port: int) -> None:
    """Under valgrind."""
    url, request = f"http://127.0.0.1:{port}", KontextRequest(**ASKED)
    async with QubicoClient(base_url=url, api_key="bench", result_hosts=[f"127.0.0.1:{port}"]) as client:
        task = await client.create(request)

        async def download() -> None:
            async with client.download(f"{url}/temp/any.png", max_bytes=10**7) as file:
                async for _ in file.chunks:
                    pass

        calls: dict[str, Call] = {
            "get": lambda: client.get(task.task_id), "create": lambda: client.create(request), "download": download,
        }  # fmt: skip
        await _counted(calls[what], CALLS[what])


async def count(what: str) -> float:
    """Thousands of instructions a call."""
    with tempfile.TemporaryDirectory() as folder:
        async with beside_standin(Provider(reads=NEVER)) as (port, _, _):
            process = await asyncio.create_subprocess_exec(
                "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={Path(folder) / 'out'}",
                sys.executable, "-m", "benchmarks.calls", what, "--port", str(port), stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, told = await process.communicate()
    found = re.search(rb"Collected : (\d+)", told)
    if found is None:
        raise RuntimeError(told.decode()[-1000:])
    return int(found[1]) / CALLS[what] / 1000


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.calls")
    asked.add_argument("what", choices=CALLS)
    asked.add_argument("--port", type=int, help="of the stand-in, where this is the process under valgrind")
    given = asked.parse_args()
    if given.port is not None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work(given.what, given.port))
    else:
        sys.stdout.write(f"{asyncio.run(count(given.what)):.0f} thousand instructions a call\n")


if __name__ == "__main__":
    main()
