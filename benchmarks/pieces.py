"""Question: what does each piece of an edit cost a worker's process? Beside the calls: the same by bare aiohttp.

CPU of one process that does one piece after another, sixteen at once where it waits for answers, in turns. It is
`python -m benchmarks.pieces PORT` beside the stand-in, so that nothing else runs in it.
"""

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiohttp
import structlog
import uvloop
from ulid import ULID

from benchmarks.baselines import ASKED, beside_standin
from benchmarks.colours import BESIDE, OURS
from benchmarks.parts import bare_environ
from benchmarks.provider import Provider
from benchmarks.rounds import say, summed
from benchmarks.system import IMAGE, PROMPT
from cli.local.programs import ROOT
from config.logging import configure
from config.settings import load
from edits.models import Edit, EditInput, TimelineEvent, Wait
from edits.storage import manifest
from qubico.client import QubicoClient
from qubico.schemas import KontextRequest

TASK: Final = str(UUID(int=7, version=4))
TOGETHER: Final = 16
EVENTS: Final = 8  # of a timeline
ALONE: Final = ", aiohttp alone"

ENOUGH: Final = {
    "RETOUCH_REDIS_URL": "redis://127.0.0.1:1/0",
    "RETOUCH_SECRET_KEY": "0" * 32,
    "RETOUCH_QUBICO__BASE_URL": "http://127.0.0.1:1",
    "RETOUCH_QUBICO__API_KEY": "bench",
    "RETOUCH_QUBICO__SANDBOX": "true",
}
"""Settings for a worker that is asked for its help and leaves."""

Piece = Callable[[], Awaitable[object]]


def measure(*, full: bool = False) -> dict[str, Any]:
    return asyncio.run(_measure(times=1000 if full else 300, rounds=5 if full else 3))


async def _measure(*, times: int, rounds: int) -> dict[str, Any]:
    async with beside_standin(Provider(knows_all=True)) as (port, folder, _):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.pieces", str(port), str(times), str(rounds),
            cwd=folder, env=bare_environ() | {"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError("the process that does the pieces has failed, see above")
        starts = [await _start(folder) for _ in range(rounds)]
    found = json.loads(told) | {"a worker's start": summed([{"ms": ms} for ms in starts])["ms"]}
    say(", ".join(f"{name}: {of['median']:.2f} ms" for name, of in found.items()))
    return {"rounds": rounds, "times": times, "ms": found}


async def _start(folder: Path) -> float:
    """Ms of CPU until a worker has loaded all that it needs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environ = bare_environ() | {"PYTHONPATH": str(ROOT), "RETOUCH_DATA_DIR": str(folder / "var")} | ENOUGH
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers", "--help", cwd=folder, env=environ, stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise RuntimeError("a worker does not start")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


async def _all(port: int, times: int, rounds: int) -> dict[str, Any]:
    found: dict[str, list[dict[str, float]]] = {}
    async with _pieces(f"127.0.0.1:{port}") as pieces:
        for number in range(rounds + 1):
            for name, piece in pieces.items():
                took = await _cpu(piece, times if number else TOGETHER)
                if number:  # the first opens every connection
                    found.setdefault(name, []).append({"ms": took / times * 1000})
    return {name: summed(of)["ms"] for name, of in found.items()}


async def _cpu(piece: Piece, times: int) -> float:
    async def some() -> None:
        for _ in range(times // TOGETHER + 1):
            await piece()

    before = time.process_time()
    await asyncio.gather(*(some() for _ in range(TOGETHER)))
    return time.process_time() - before


@asynccontextmanager
async def _pieces(host: str) -> AsyncIterator[dict[str, Piece]]:
    url, request = f"http://{host}", KontextRequest(**ASKED)
    edit, log = _edit(), structlog.get_logger()
    timeline = [
        TimelineEvent(seq=seq, at=edit.created_at, type="polled", wait=Wait.PROVIDER_RUN, duration_ms=seq, data={})
        for seq in range(EVENTS)
    ]
    client = QubicoClient(base_url=url, api_key="bench", result_hosts=[host])
    async with client, aiohttp.ClientSession(headers={"X-API-Key": "bench"}) as http:
        yield {
            "a read": partial(client.get, TASK),
            f"a read{ALONE}": partial(_bare, http, "GET", f"{url}/api/v1/task/{TASK}"),
            "a create": partial(client.create, request),
            f"a create{ALONE}": partial(_bare, http, "POST", f"{url}/api/v1/task", request.body()),
            "a download of 256 KiB": partial(_download, client, f"{url}/temp/1.png"),
            f"a download of 256 KiB{ALONE}": partial(_bare, http, "GET", f"{url}/temp/1.png"),
            "a manifest": partial(_at_once, partial(manifest.compose, edit, timeline)),
            "a line of the log": partial(_at_once, partial(log.info, "edit.polled", edit_id=edit.id)),
        }


async def _bare(http: aiohttp.ClientSession, method: str, url: str, body: bytes | None = None) -> None:
    async with http.request(method, url, data=body) as answer:
        await answer.read()


async def _download(client: QubicoClient, url: str) -> None:
    async with client.download(url, max_bytes=1 << 20) as file:
        async for _ in file.chunks:
            pass


async def _at_once(work: Callable[[], object]) -> None:
    work()


def _edit() -> Edit:
    now = datetime.now(UTC)
    asked = EditInput(prompt=PROMPT, image=IMAGE, width=1024, height=1024, steps=28, seed=1)
    return Edit(id=f"edit_{ULID()}", tenant="default", livemode=False, input=asked, created_at=now, updated_at=now)


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    ms = found["ms"]
    rows = [
        {"piece": name, "CPU, ms": of["median"], "least": of["least"], "most": of["most"]} | _beside(ms, name)
        for name, of in ms.items()
        if not name.endswith(ALONE)
    ]
    yield f"Pieces of an edit in a worker's process, medians of {found['rounds']} rounds", rows


def _beside(ms: Mapping[str, Any], name: str) -> dict[str, Any]:
    alone = ms.get(f"{name}{ALONE}")
    times = ms[name]["median"] / alone["median"] if alone else ""
    return {"by bare aiohttp": alone["median"] if alone else "", "times that": times}


def picture(found: Mapping[str, Any], figure: Any) -> None:
    axes = figure.subplots()
    rows = [(name, of["median"]) for name, of in found["ms"].items() if not name.startswith("a worker")][::-1]
    colours = [BESIDE if name.endswith(ALONE) else OURS for name, _ in rows]
    bars = axes.barh([name for name, _ in rows], [value for _, value in rows], color=colours)
    axes.bar_label(bars, fmt="%.2f", padding=4)
    axes.margins(x=0.1)
    axes.set_xlabel("CPU, ms")


def main() -> None:
    port, times, rounds = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        configure(load({"RETOUCH_DATA_DIR": folder}, Path(folder) / ".env"), stream=nowhere)
        sys.stdout.write(json.dumps(uvloop.run(_all(port, times, rounds))))


if __name__ == "__main__":
    main()
