"""What the provider's stand-in answers, and what it counts. Nothing is waited for here: `standin` does that."""

import heapq
import json
import math
import random
import struct
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from benchmarks.provider import Bucket, Provider
from benchmarks.shapes import SHAPES

IDAT_BYTES: Final = 32 * 1024


def picture(wanted: int) -> bytes:
    """A whole and valid file of nearly `wanted` bytes, a little less."""
    side = max(8, math.isqrt(max(0, wanted - 200) * 99 // 300))
    noise = random.Random(side)
    rows = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))
    packed = zlib.compress(rows, 0)
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))]
    parts += [_chunk(b"IDAT", packed[at : at + IDAT_BYTES]) for at in range(0, len(packed), IDAT_BYTES)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PRICE: Final = 200_000
NOT_YET: Final = "0001-01-01T00:00:00Z"
MOST_SEEN: Final = 10_000  # moments kept of refused creates


@dataclass(slots=True)
class Task:
    created: float
    started: float
    ended: float
    order: str
    config: str
    reads: int = 0
    over: bool = False


@dataclass(slots=True)
class Counters:
    creates: int = 0
    reads: int = 0
    pictures: int = 0
    refused: int = 0
    over_cap: int = 0
    most_in_flight: int = 0
    finished: int = 0
    seconds: Counter[int] = field(default_factory=Counter)  # creates taken, by the second since the first
    refused_at: list[float] = field(default_factory=list)  # seconds since the first create that came
    latest: float = 0.0  # seconds from the first create that came to the latest that was taken
    burst_needed: float = 0.0  # tokens that a bucket must hold so that none of the creates taken were refused
    stalled: float = 0.0  # seconds that the stand-in itself once stood still
    lags: list[float] = field(default_factory=list)  # from a task's end to the read that showed it


class StandIn:
    """All that it knows. `clock` counts seconds of the epoch."""

    def __init__(self, provider: Provider, *, base: str, clock: Callable[[], float] = time.time) -> None:
        self.base = base
        self._clock = clock
        self._pictures: dict[int, bytes] = {}
        self._tasks: dict[str, Task] = {}
        self._ends: list[float] = []
        self._in_flight = 0
        self._closed_until = 0.0
        self._first: float | None = None
        self.counters = Counters()
        self.become(provider)

    def become(self, provider: Provider) -> None:
        """Behaves so from now on; the tasks that are there stay."""
        self.provider = provider
        self._shape = next(shape for shape in SHAPES if shape.name == provider.shape)
        self._chance = random.Random(provider.seed)
        self._bucket = Bucket.of(provider)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if path.startswith("/api/v1/task/"):
            return self._read(path[13:])
        if path.startswith("/temp/"):
            self.counters.pictures += 1
            return 200, self._picture()
        if method == "POST":
            return self._create(body) if path == "/api/v1/task" else self._control(body)
        return self._told_of(path)

    def _told_of(self, path: str) -> tuple[int, bytes]:
        if path.startswith("/api/open/tasks/histories"):
            return 200, self._history(path)
        if path == "/counters":
            return 200, json.dumps(self._told()).encode()
        if path.startswith("/account/"):
            return 200, b'{"code":200,"data":{"name":"bench","plan":"pro","equivalent_in_usd":100},"message":"success"}'
        return 404, b'{"code":404,"data":null,"message":"not found"}'

    def _create(self, body: bytes) -> tuple[int, bytes]:
        now = self._clock()
        self._first = self._first if self._first is not None else now
        if now < self._closed_until or (self._bucket and not self._bucket.take(now)):
            self.counters.refused += 1
            if len(self.counters.refused_at) < MOST_SEEN:
                self.counters.refused_at.append(round(now - self._first, 3))
            return 429, b'{"code":429,"data":null,"message":"too many requests"}'
        try:
            asked = json.loads(body)
            order, config = json.dumps(asked["input"]), json.dumps(asked["config"])
        except (ValueError, KeyError, TypeError):
            return 400, b'{"code":400,"data":null,"message":"expected input and config"}'
        drawn = self._shape.draw(self._chance)
        started = now + drawn.wait / self.provider.speed
        task = Task(now, started, started + drawn.run / self.provider.speed, order, config)
        task_id = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        self._tasks[task_id] = task
        self._begin(task, now)
        return 200, self._shown(task_id, task, now)

    def _begin(self, task: Task, now: float) -> None:
        seen = self.counters
        seen.creates += 1
        seen.latest = now - (self._first or now)
        seen.seconds[int(seen.latest)] += 1
        seen.burst_needed = max(seen.burst_needed, self._bucket.depth if self._bucket else 0.0)
        self._in_flight += 1
        if self.provider.reads is None:
            heapq.heappush(self._ends, task.ended)
        self._leave(now)
        seen.most_in_flight = max(seen.most_in_flight, self._in_flight)
        seen.over_cap += self.provider.cap is not None and self._in_flight > self.provider.cap

    def _leave(self, now: float) -> None:
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
            self._in_flight -= 1

    def _read(self, task_id: str) -> tuple[int, bytes]:
        task = self._tasks.get(task_id) or self._made_up()
        self.counters.reads += 1
        if task is None:
            return 404, b'{"code":404,"data":null,"message":"task not found"}'
        now = self._clock()
        task.reads += 1
        by_reads = self.provider.reads
        ended = now >= task.ended if by_reads is None else task.reads >= by_reads
        if ended and not task.over:
            task.over = True
            self.counters.finished += 1
            self.counters.lags.append(round(max(0.0, now - task.ended), 4))
            self._in_flight -= by_reads is not None
        return 200, self._shown(task_id, task, now)

    def _made_up(self) -> Task | None:
        now = self._clock()
        return Task(now, now, float("inf"), "{}", "{}") if self.provider.knows_all else None

    def stalled(self, seconds: float) -> None:
        self.counters.stalled = max(self.counters.stalled, seconds)

    def _shown(self, task_id: str, task: Task, now: float) -> bytes:
        status = "completed" if task.over else "processing" if now >= task.started or task.reads else "pending"
        started = _moment(min(task.started, now)) if status != "pending" else NOT_YET
        ended = _moment(min(task.ended, now)) if task.over else NOT_YET
        output = f'{{"image_base64":"","image_url":"{self.base}/temp/{task_id}.png"}}' if task.over else "null"
        return (
            f'{{"code":200,"data":{{"task_id":"{task_id}","model":"Qubico/flux1-dev-advanced","task_type":"kontext",'
            f'"status":"{status}","config":{task.config},"input":{task.order},"output":{output},'
            f'"meta":{{"created_at":"{_moment(task.created)}","started_at":"{started}","ended_at":"{ended}",'
            f'"usage":{{"type":"point","frozen":0,"consume":{PRICE}}},"is_using_private_pool":false}},'
            '"detail":null,"logs":[],"error":{"code":0,"raw_message":"","message":"","detail":null}},"message":"success"}'
        ).encode()

    def _history(self, path: str) -> bytes:
        asked = dict(pair.split("=", 1) for pair in path.partition("?")[2].split("&") if "=" in pair)
        page, size = int(asked.get("page", 1)), int(asked.get("page_size", 10))
        since, until = float(asked.get("start_time", 0)), float(asked.get("end_time", "inf"))
        found = [(name, task) for name, task in reversed(self._tasks.items()) if since <= task.created <= until]
        rows = [
            {
                "task_id": name, "task_model": "Qubico/flux1-dev-advanced", "usage": PRICE,
                "status": "completed" if task.over else "processing", "created_at": _moment(task.created),
            }
            for name, task in found[(page - 1) * size : page * size]
        ]  # fmt: skip
        inner = {"data": rows, "total": len(found), "page": page, "size": size}
        return json.dumps({"code": 200, "data": inner, "message": "success"}).encode()

    def _control(self, body: bytes) -> tuple[int, bytes]:
        """`closed_for` seconds every create is refused; other names change how it behaves. All counts begin anew."""
        try:
            asked = json.loads(body)
            self._closed_until = self._clock() + asked.pop("closed_for", 0.0)
            if asked:
                self.become(replace(self.provider, **asked))
        except (ValueError, TypeError, AttributeError, StopIteration):
            return 400, b"expected options as they are in Provider"
        self.counters, self._first = Counters(), None
        return 200, b"{}"

    def _told(self) -> dict[str, Any]:
        self._leave(self._clock())
        last = max(self.counters.seconds, default=-1)
        seconds = [self.counters.seconds[i] for i in range(last + 1)]
        return {**asdict(self.counters), "seconds": seconds, "in_flight": self._in_flight}

    def _picture(self) -> bytes:
        size = self.provider.picture_bytes
        if size not in self._pictures:
            self._pictures[size] = picture(size)
        return self._pictures[size]


def _moment(at: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at))}.{int(at % 1 * 1e6):06d}Z"
