"""Question: what does an accept or a look cost? Beside it: a bare FastAPI route that checks the same body.

Both are asked in turns over as many kept connections, with the same settings of the server. The CPU is that of the one
process that answers; requests a second also say how many cores were left for Redis and for whoever asks.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import uvloop

from benchmarks.parts import bare_environ
from benchmarks.provider import Provider
from benchmarks.rounds import goal, say, summed
from benchmarks.system import IMAGE, PROMPT, System, running
from benchmarks.used import used_by
from cli.local import probes
from cli.local.ports import unclaimed
from cli.local.programs import ROOT, api
from cli.local.supervisor import Service
from config.settings import Settings

_LENGTH: Final = b"content-length: "
_END: Final = b"\r\n\r\n"

PATIENCE: Final = 10.0  # seconds for the last answers

Next = Callable[[], bytes]
"""The next request, whole."""


@dataclass(slots=True)
class Seen:
    """What came back. `took`: seconds from a request to the last byte of its answer."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)

    @property
    def answers(self) -> int:
        return self.statuses.total()


def request(method: str, path: str, *, host: str, key: str, body: bytes = b"") -> bytes:
    """One request on the wire, with the key and a JSON body."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def answer_in(data: bytes) -> tuple[int, bytes] | None:
    """Status and body of the answer at the start of `data`; None while it is not whole."""
    head, end, body = data.partition(_END)
    at = head.lower().find(_LENGTH)
    if not end or at < 0:
        return None
    if len(body) < int(head[at + len(_LENGTH) :].partition(b"\r")[0]):
        return None
    return int(head[9:12]), body


class _Client(asyncio.Protocol):
    """One connection: a request leaves when the answer to the one before has come."""

    def __init__(self, give: Next, seen: Seen, until: float, done: "asyncio.Future[None]") -> None:
        self._give, self._seen, self._until, self._done = give, seen, until, done
        self._data = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as a TCP server's
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._data += data
        found = answer_in(self._data)
        if found is None:
            return
        now = time.perf_counter()
        self._data = b""
        self._seen.statuses[found[0]] += 1
        self._seen.took.append(now - self._sent)
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._give())


async def _load(port: int, give: Next, connections: int, seconds: float) -> Seen:
    loop = asyncio.get_running_loop()
    seen, began = Seen(), time.perf_counter()
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    for done in ends:
        await loop.create_connection(partial(_Client, give, seen, began + seconds, done), "127.0.0.1", port)
    await asyncio.wait(ends, timeout=seconds + PATIENCE)
    seen.seconds = time.perf_counter() - began
    return seen


def load(port: int, give: Next, *, connections: int, seconds: float) -> Seen:
    """Keeps `connections` busy for so long."""
    return uvloop.run(_load(port, give, connections, seconds))


CONNECTIONS: Final = 64
BODY: Final = json.dumps({"prompt": PROMPT, "image": IMAGE, "width": 1024, "height": 1024, "seed": 7}).encode()
LEAST: Final = 0.5  # of the bare route's speed is the goal
WARM: Final = 0.5  # seconds that are not counted


def measure(*, full: bool) -> dict[str, Any]:
    return asyncio.run(_measure(rounds=7 if full else 4, seconds=3.0 if full else 1.5))


async def _measure(*, rounds: int, seconds: float) -> dict[str, Any]:
    port = unclaimed()
    async with running(Provider(), workers=0, api=True, beside=lambda settings: _bare(settings, port)) as system:
        edit_id = (await system.accept(1))[0]
        asked = {"accept": ("POST", "/v1/edits", BODY), "read": ("GET", f"/v1/edits/{edit_id}", b"")}
        found: dict[str, list[dict[str, float]]] = {}
        for number in range(rounds + 1):
            for name, (method, path, body) in asked.items():
                for server, at in (("bare", port), ("api", int(system.api_url.rpartition(":")[2]))):
                    sent = request(method, path, host=f"127.0.0.1:{at}", key=system.api_key, body=body)
                    figures = await _asked(system, server, at, sent, seconds=seconds if number else WARM)
                    if number:
                        found.setdefault(f"{server} {name}", []).append(figures)
            say(f"round {number} of {rounds}")
    spreads = {name: summed(rounds_of) for name, rounds_of in found.items()}
    return {"connections": CONNECTIONS, "rounds": rounds, "figures": spreads, "goals": _goals(spreads)}


def _share(figures: Mapping[str, Any], what: str) -> float:
    """How much of the bare route's speed is kept at the same CPU."""
    return float(figures[f"bare {what}"]["cpu_us"]["median"] / figures[f"api {what}"]["cpu_us"]["median"])


async def _asked(system: System, server: str, port: int, sent: bytes, *, seconds: float) -> dict[str, float]:
    pid = system.pids(server)[0]
    redis = system.pids("valkey")[0]
    before, before_redis = used_by(pid)[0], used_by(redis)[0]
    seen = await asyncio.to_thread(load, port, lambda: sent, connections=CONNECTIONS, seconds=seconds)
    _require(seen)
    spent, spent_redis = used_by(pid)[0] - before, used_by(redis)[0] - before_redis
    late = sorted(seen.took)
    return {
        "rate": seen.answers / seen.seconds, "cpu_us": spent / seen.answers * 1e6,
        "redis_us": spent_redis / seen.answers * 1e6, "p99_ms": late[len(late) * 99 // 100] * 1e3,
    }  # fmt: skip


def _require(seen: Seen) -> None:
    """A busy disk may keep some edits from being accepted in time; what is measured are those that were."""
    wrong = {status: times for status, times in seen.statuses.items() if status not in {200, 202}}
    if sum(wrong.values()) * 100 > seen.answers:
        raise RuntimeError(f"answers that say no: {wrong}")


def _bare(settings: Settings, port: int) -> Service:
    """The product's own command line with another app on another port."""
    other = {"api.app:app": "benchmarks.route:app", str(settings.api.port): str(port)}
    return Service(
        name="bare",
        command=tuple(other.get(word, word) for word in api(settings)),
        environment=bare_environ() | {"PYTHONPATH": str(ROOT)},
        ready=probes.http(port, "/openapi.json"),
        order=2,
        start_within=90.0,
    )


def _goals(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        goal(f"{what}: share of the bare route's speed, at the same CPU, at least", _share(figures, name), least=LEAST)
        for name, what in (("accept", "POST /v1/edits"), ("read", "GET /v1/edits/{id}"))
    ]


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "Accepting and reading: goals", found["goals"]
    rows = []
    for name, figures in found["figures"].items():
        server, _, what = name.partition(" ")
        rows.append({
            "what": what, "by": "Retouch" if server == "api" else "a bare route",
            "speed at the same CPU": _share(found["figures"], what) if server == "api" else 1.0,
            "CPU a request, µs": round(figures["cpu_us"]["median"]), "Redis, µs": round(figures["redis_us"]["median"]),
            "requests a second": round(figures["rate"]["median"]), "p99, ms": round(figures["p99_ms"]["median"], 1),
        })  # fmt: skip
    yield f"Accepting and reading over {found['connections']} connections, one process", rows
