"""What a request costs inside the app, beside the bare route: both are called in this process, over one Valkey.

`python -m benchmarks.inside [--profile accept|read]`: without server and sockets, in short rounds by turns. The least
counts, which others on the machine disturb least. `--profile`: where such a request spends its time, by cProfile.
"""

import argparse
import asyncio
import cProfile
import json
import pstats
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console
from starlette.types import ASGIApp, Message

from api.app import create_app
from benchmarks import bare, spent
from benchmarks.accepting import BODY, CONNECTIONS
from benchmarks.page import on_screen
from config.settings import load

KEY: Final = "the-key-of-the-operator-in-a-benchmark"
ROUNDS: Final = 40
REQUESTS: Final = 256  # a round
SHOWN: Final = 60  # functions of a profile


@dataclass(frozen=True, slots=True)
class Request:
    app: ASGIApp
    method: str
    path: str
    body: bytes = b""

    async def answer(self) -> bytes:
        """Calls the app as a server does."""
        headers = [(b"host", b"127.0.0.1:8000"), (b"x-api-key", KEY.encode())]
        if self.body:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self.body))]
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
            "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 40000), "root_path": "", "headers": headers,
            "state": {}, "method": self.method, "path": self.path, "raw_path": self.path.encode(), "query_string": b"",
        }  # fmt: skip
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": self.body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        if sent[0]["status"] not in {200, 202}:
            raise RuntimeError(f"{self.method} {self.path}: {sent}")
        answered: bytes = sent[1]["body"]
        return answered


@asynccontextmanager
async def requests() -> AsyncIterator[dict[str, Request]]:
    with tempfile.TemporaryDirectory() as made:
        async with spent.server() as redis:
            port = redis.connection_pool.connection_kwargs["port"]
            app = create_app(load(_environ(Path(made), port), dotenv=None))
            async with app.router.lifespan_context(app):
                accept = Request(app, "POST", "/v1/edits", BODY)
                path = f"/v1/edits/{json.loads(await accept.answer())['id']}"
                yield {
                    "bare accept": Request(bare.app, "POST", "/v1/edits", BODY),
                    "accept": accept,
                    "bare read": Request(bare.app, "GET", path),
                    "read": Request(app, "GET", path),
                }


def _environ(folder: Path, port: int) -> dict[str, str]:
    return {
        "RETOUCH_DATA_DIR": str(folder),
        "RETOUCH_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "RETOUCH_SECRET_KEY": KEY,
        "RETOUCH_API__ADMIN_KEY": KEY,
        "RETOUCH_QUBICO__BASE_URL": "http://127.0.0.1:9",
        "RETOUCH_QUBICO__API_KEY": "bench",
    }


async def _round(request: Request) -> float:
    """µs of CPU a request, as many at once as the benchmark of accepting keeps connections."""
    left = iter(range(REQUESTS))

    async def client() -> None:
        for _ in left:
            await asyncio.create_task(request.answer())

    began = time.process_time()
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return (time.process_time() - began) / REQUESTS * 1e6


async def _compare() -> None:
    async with requests() as asked:
        rounds = [{name: await _round(request) for name, request in asked.items()} for _ in range(ROUNDS)]
    least = {name: min(round_of[name] for round_of in rounds) for name in asked}
    rows: list[dict[str, Any]] = [
        {"what": what, "bare route, µs": round(bare_us), "Retouch, µs": round(own), "times": round(own / bare_us, 2)}
        for what, bare_us, own in ((what, least[f"bare {what}"], least[what]) for what in ("accept", "read"))
    ]
    Console(soft_wrap=True).print(on_screen("CPU of a request inside the app", rows))


async def _profile(what: str) -> None:
    async with requests() as asked:
        await _round(asked[what])
        profile = cProfile.Profile(time.thread_time)
        with profile:
            for _ in range(ROUNDS // 4):
                await _round(asked[what])
    pstats.Stats(profile).sort_stats("tottime").print_stats(SHOWN)


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.inside", description=__doc__)
    asked.add_argument("--profile", choices=["accept", "read"])
    given = asked.parse_args()
    uvloop.run(_profile(given.profile) if given.profile else _compare())


if __name__ == "__main__":
    main()
