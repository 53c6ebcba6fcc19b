"""The product as it runs, for a question to measure: real processes beside the stand-in, ended with the `async with`.

`async with running(Provider(reads=6), workers=1) as system`, then `await system.accept(100)`,
`await system.until_ended(100, within=60)` and `used = await system.used()`.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from redis.asyncio import Redis
from ulid import ULID

from benchmarks.parts import bare_environ, patient, standin_part
from benchmarks.provider import Provider
from benchmarks.rounds import say
from benchmarks.used import Used, used_by
from cli.local import stack
from cli.local.ports import Ports, unclaimed
from cli.local.supervisor import Service, Supervisor
from config.settings import Settings
from edits.db.acceptance import Accepted
from edits.db.admission import Caps
from edits.db.connection import connect
from edits.db.repository import EditRepository
from edits.models import Edit, EditInput

NAMESPACE: Final = "retouch"
PROMPT: Final = ("make it look like a water colour of the early hours, with a soft light from the left; " * 3)[:200]
IMAGE: Final = "https://pictures.example/cats/0001.jpg"
LOOK_EVERY: Final = 0.1  # seconds between looks whether all have ended
POSTED: Final = 5  # times at most
UNLIMITED: Final = {
    "RETOUCH_QUBICO__CREATES_PER_SECOND": "100000",
    "RETOUCH_QUBICO__READS_PER_SECOND": "100000",
    "RETOUCH_QUBICO__MAX_IN_FLIGHT": "1000000",
    "RETOUCH_QUBICO__WEBHOOKS": "false",
}
"""Settings under which nothing but the work itself takes time; a question that asks about limits sets its own."""


@dataclass
class System:
    supervisor: Supervisor
    redis: Redis
    provider_url: str
    api_url: str
    api_key: str
    folder: Path
    environ: Mapping[str, str]
    """What the parts were told, for a process of the question's own."""

    _http: aiohttp.ClientSession
    _repository: EditRepository = field(init=False)

    def __post_init__(self) -> None:
        self._repository = EditRepository(self.redis, namespace=NAMESPACE)

    async def accept(self, number: int, **given: Any) -> list[str]:
        """So many edits straight into Redis, as batches come in; their ids. `given`: fields of EditInput."""
        made = [self.edit(**given) for _ in range(number)]
        taken = await self._repository.accept_many([(edit, None) for edit in made], Caps(max_queued=10**7))
        if lost := [one for one in taken if not isinstance(one, Accepted)]:
            raise RuntimeError(f"{len(lost)} edits were not taken in: {lost[0]}")
        return [edit.id for edit in made]

    def edit(self, **given: Any) -> Edit:
        now = datetime.now(UTC)
        asked = {"prompt": PROMPT, "image": IMAGE, "width": 1024, "height": 1024, "steps": 28, "seed": 1} | given
        return Edit(
            id=f"edit_{ULID()}", tenant="default", livemode=False, input=EditInput(**asked),
            created_at=now, updated_at=now,
        )  # fmt: skip

    async def post(self, **given: Any) -> dict[str, Any]:
        """One edit by the API, over a connection that is kept; asked again while a busy machine answers 503."""
        body = {"prompt": PROMPT, "image": IMAGE, "width": 1024, "height": 1024} | given
        for _ in range(POSTED):
            async with self._http.post(
                f"{self.api_url}/v1/edits", json=body, headers={"X-API-Key": self.api_key}
            ) as answer:
                told: dict[str, Any] = await answer.json()
                if answer.status == 202:
                    return told
            if answer.status != 503:
                break
            await asyncio.sleep(1)
        raise RuntimeError(f"POST /v1/edits: {answer.status} {told}")

    async def post_evenly(self, number: int, *, rate: float, **given: Any) -> None:
        loop = asyncio.get_running_loop()
        began, posts = loop.time(), []
        for i in range(number):
            await asyncio.sleep(began + i / rate - loop.time())
            posts.append(asyncio.create_task(self.post(**given)))
        await asyncio.gather(*posts)

    async def ended(self) -> int:
        return int(await self.redis.zcard(f"{NAMESPACE}:retention"))

    async def until_ended(self, number: int, *, within: float) -> float:
        """Seconds until so many edits have ended, those of before included. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (ended := await self.ended()) < number:
            if loop.time() - began > within:
                raise TimeoutError(f"{ended} of {number} edits had ended after {within:.0f} s")
            await asyncio.sleep(LOOK_EVERY)
        return loop.time() - began

    async def counters(self) -> dict[str, Any]:
        """What the stand-in has seen (`standin.Counters`)."""
        async with self._http.get(f"{self.provider_url}/counters") as answer:
            told: dict[str, Any] = json.loads(await answer.read())
            return told

    async def control(self, **asked: Any) -> None:
        """`closed_for` seconds, or fields of Provider; all that the stand-in has counted is forgotten."""
        async with self._http.post(f"{self.provider_url}/control", data=json.dumps(asked)) as answer:
            if answer.status != 200:
                raise ValueError(await answer.text())

    async def used(self) -> Used:
        cpu: dict[str, float] = {}
        for part, pid in self.supervisor.pids().items():
            name = part.rstrip("0123456789")
            cpu[name] = cpu.get(name, 0.0) + used_by(pid)[0]
        told = await self.redis.info()
        return Used(cpu, int(told["total_commands_processed"]))

    def pids(self, name: str = "worker") -> list[int]:
        """Of the parts of this name, whatever their number."""
        return [pid for part, pid in self.supervisor.pids().items() if part.rstrip("0123456789") == name]


@asynccontextmanager
async def running(
    provider: Provider,
    *,
    workers: int = 1,
    api: bool = False,
    settings: Mapping[str, str] | None = None,
    beside: Callable[[Settings], Service] | None = None,
) -> AsyncIterator[System]:
    """`settings` go over `UNLIMITED`. Flower is left out, and the API unless it is asked for; `workers=0`: none.

    `beside`: one part more, of the question's own.
    """
    ports = Ports()
    with tempfile.TemporaryDirectory(prefix="retouch-bench-") as made:
        folder, port = Path(made), ports.any()
        environ = bare_environ() | UNLIMITED | {
            "RETOUCH_DATA_DIR": str(folder / "var"),
            "RETOUCH_API__PORT": str(unclaimed()),
            "RETOUCH_WORKER__PROCESSES": str(max(workers, 1)),
            "RETOUCH_QUBICO__BASE_URL": f"http://127.0.0.1:{port}",
            "RETOUCH_QUBICO__API_KEY": "bench",
            "RETOUCH_QUBICO__RESULT_HOSTS": f"127.0.0.1:{port}",
            "RETOUCH_QUBICO__SANDBOX": "true",
            "RETOUCH_SHUTDOWN_GRACE": "5s",
            **(settings or {}),
        }  # fmt: skip
        ground = stack.Environment(environ=environ, folder=folder)
        asked = ground.load()
        built = stack.build(ground, settings=asked, ports=ports)
        left_out = {"flower"} | (set() if api else {"api"}) | (set() if workers else {"worker"})
        more = [beside(built.settings)] if beside else []
        wanted = [patient(part) for part in built.services if part.name.rstrip("0123456789") not in left_out]
        supervisor = Supervisor(
            [standin_part(port, provider, folder=folder), *wanted, *more],
            logs=asked.data_dir / "logs",
            say=say,
            grace=10,
        )
        async with supervisor:
            made_for = {name: text for name, text in built.up.environment.items() if name not in environ}
            redis = connect(made_for.get("RETOUCH_REDIS_URL") or str(asked.redis_url), socket_timeout=10)
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
            async with redis, aiohttp.ClientSession(connector=connector) as http:
                yield System(
                    supervisor=supervisor,
                    redis=redis,
                    provider_url=f"http://127.0.0.1:{port}",
                    api_url=built.up.api_url,
                    api_key=built.up.api_key,
                    folder=folder,
                    environ={**environ, **made_for},
                    _http=http,
                )
    ports.release()
