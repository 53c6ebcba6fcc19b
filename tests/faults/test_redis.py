"""Redis and the storage go wrong in every way there is, while edits are on their way: they wait, and then they end."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from edits.models import Wait
from tests.faults import lines, places, valkey, workers
from tests.faults.lines import Lines
from tests.faults.places import SmallDisk
from tests.faults.scenario import SOAK, Scenario
from tests.faults.system import System
from tests.faults.valkey import OwnValkey
from tests.parts.proxy import Proxy
from tests.parts.s3 import S3Server
from tests.parts.stack import eventually

pytestmark = pytest.mark.fault

SETTINGS = {
    "RETOUCH_QUBICO__CREATES_PER_SECOND": "20",
    "RETOUCH_QUBICO__MAX_IN_FLIGHT": "100",
    "RETOUCH_WORKER__PROCESSES": "1",
    "SANDBOX_LATENCY": "0.8",
}
REFUSED = (403, "AccessDenied")
FULL = (507, "XMinioStorageFull")
BROKER = 1  # the database beside that of the records
WAITS = {str(wait) for wait in Wait}


@dataclass
class Ground:
    """Everything a fault may break. The second worker has lines of its own."""

    system: System
    valkey: OwnValkey
    disk: SmallDisk
    lines: Lines
    redis: Proxy
    one_workers: Proxy
    storage: Proxy
    seconds: float


Fault = Callable[[Ground], None]


def redis_killed(ground: Ground) -> None:
    """SIGKILL; started again after so long."""
    ground.valkey.kill()
    time.sleep(ground.seconds)
    ground.valkey.start()


def redis_hangs(ground: Ground) -> None:
    """SIGSTOP, then SIGCONT."""
    ground.valkey.stop_answering(seconds=ground.seconds)


def redis_behind_a_black_hole(ground: Ground) -> None:
    """A proxy before Redis passes nothing on."""
    _swallowed(ground, ground.redis)


def redis_lost_to_one_worker(ground: Ground) -> None:
    """A proxy before Redis passes nothing on for one of two workers."""
    _swallowed(ground, ground.one_workers)


def connections_to_redis_reset(ground: Ground) -> None:
    """Every connection to Redis is reset each 0.3 s."""
    for _ in _every(0.3, ground.seconds):
        ground.lines.do(ground.redis.cut)


def broker_emptied(ground: Ground) -> None:
    """FLUSHDB of Celery's database each 0.2 s."""
    with ground.valkey.client() as client:
        client.select(BROKER)
        for _ in _every(0.2, ground.seconds):
            client.flushdb()


def redis_out_of_memory(ground: Ground) -> None:
    """Accepting is refused; what was accepted goes on to its end."""
    try:
        with ground.valkey.client() as client:
            ground.valkey.set(maxmemory=client.info("memory")["used_memory"] // 2)
        _refused(ground.system)
        eventually(lambda: not ground.system.unended(), "accepted edits end without memory")
    finally:
        ground.valkey.set(maxmemory=0)


def disk_of_redis_full(ground: Ground) -> None:
    """`appendfsync everysec`: it refuses every write (MISCONF) until there is room. No process ends at that."""
    parts = ground.system.stack.part_pids()
    ground.valkey.set(appendfsync="everysec")
    ground.disk.fill()
    try:
        eventually(lambda: _misconfigured(ground.valkey), "Redis notices that its disk is full")
        _refused(ground.system)
        time.sleep(ground.seconds)
    finally:
        ground.disk.make_room()
    eventually(lambda: not _misconfigured(ground.valkey), "Redis notices that there is room")
    assert ground.system.stack.part_pids().keys() == parts.keys()
    ground.valkey.set(appendfsync="always")


def clock_of_redis_jumps(ground: Ground) -> None:
    """By an hour and two days, both ways (libfaketime)."""
    if valkey.faketime() is None:
        pytest.skip("libfaketime is not installed: apt-get install faketime")
    for seconds in (3600, -3600, 172_800, -172_800, 0) if SOAK else (3600, -172_800, 0):
        ground.valkey.jump(seconds)
        time.sleep(max(2.5, ground.seconds / 5))
        eventually(lambda: abs(ground.system.now() - time.time()) < 6, f"a jump to {seconds:+d} s is undone")


def storage_down(ground: Ground) -> None:
    """Connections are reset as they are made."""
    for _ in _every(0.1, ground.seconds):
        ground.lines.do(ground.storage.cut)
    _waits_are_named(ground.system)


def storage_swallows(ground: Ground) -> None:
    """A proxy before the storage passes nothing on."""
    _swallowed(ground, ground.storage)
    _waits_are_named(ground.system)


def storage_slow(ground: Ground) -> None:
    """A proxy before the storage holds everything for 0.8 s of each second."""
    for _ in _every(1.0, ground.seconds):
        ground.lines.do(ground.storage.hold)
        time.sleep(0.8)
        ground.lines.do(ground.storage.flow)


def storage_refuses(ground: Ground) -> None:
    """It answers 403 to everything."""
    _answers(ground, *REFUSED)


def storage_full(ground: Ground) -> None:
    """It answers 507 to everything."""
    _answers(ground, *FULL)


STORAGE: list[Fault] = [storage_down, storage_swallows, storage_slow, storage_refuses, storage_full]
"""Without uploads: the provider could not fetch them either, and that ends its tasks."""

FAULTS: list[Fault] = [
    redis_killed, redis_hangs, redis_behind_a_black_hole, redis_lost_to_one_worker, connections_to_redis_reset,
    broker_emptied, redis_out_of_memory, disk_of_redis_full, clock_of_redis_jumps,
    *STORAGE,
]  # fmt: skip


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    "faults",
    [[fault] for fault in FAULTS] if SOAK else [FAULTS],
    ids=lambda faults: faults[0].__name__ if SOAK else "one_after_another",
)
def test_redis_or_storage(scenario: Scenario, faults: list[Fault], tmp_path: Path, s3_server: S3Server, s3_url: str):
    seconds = scenario.size("seconds", test=1, soak=30)
    edits = scenario.size("edits", test=6, soak=120)
    told = []
    with _ground(scenario, tmp_path, s3_server, s3_url, seconds=seconds) as ground:
        for fault in faults:
            with ground.system.submitting(
                edits, per_second=max(edits / seconds, 4), uploads=0 if fault in STORAGE else 3
            ):
                time.sleep(0.5)
                fault(ground)
                began = time.monotonic()
                ground.system.fault_over()
                eventually(ground.system.goes_on, f"work goes on after {fault.__name__}")
                told.append(f"{fault.__name__} {time.monotonic() - began:.1f} s")
                print(told[-1])
        scenario.row.dose = f"{seconds} s" if SOAK else ", ".join(told)
        scenario.is_(", ".join(fault.__name__.replace("_", " ") for fault in faults), how=faults[0].__doc__ or "")
        scenario.judge(ground.system)


@contextmanager
def _ground(scenario: Scenario, folder: Path, s3: S3Server, s3_url: str, *, seconds: float) -> Iterator[Ground]:
    with ExitStack() as stack:
        disk = stack.enter_context(places.small_disk(folder / "disk", mib=64))
        own = stack.enter_context(valkey.own(disk.folder / "valkey"))
        laid = stack.enter_context(lines.laid())
        redis, one_workers = laid.to(own.port), laid.to(own.port)
        storage = laid.to(int(s3.endpoint.rpartition(":")[2]))
        settings = (
            SETTINGS
            | s3.env
            | {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{storage.port}",
                "RETOUCH_STORAGE_URL": s3_url,
                "RETOUCH_REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
            }
        )
        system = stack.enter_context(scenario.system(**settings))
        apart = {
            "RETOUCH_REDIS_URL": f"redis://127.0.0.1:{one_workers.port}/0",
            "RETOUCH_BROKER_URL": f"redis://127.0.0.1:{one_workers.port}/{BROKER}",
        }
        worker = workers.start(system.stack, **apart)
        stack.callback(worker.wait)
        stack.callback(worker.kill)
        yield Ground(system, own, disk, laid, redis, one_workers, storage, seconds)


def _every(pause: float, seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield
        time.sleep(pause)


def _swallowed(ground: Ground, line: Proxy) -> None:
    ground.lines.do(line.swallow)
    try:
        time.sleep(ground.seconds)
    finally:
        ground.lines.do(line.cut)
        ground.lines.do(line.flow)


def _answers(ground: Ground, status: int, code: str) -> None:
    """An S3 that answers everything with this status and code."""
    body = f"<Error><Code>{code}</Code><Message>by order of the test</Message></Error>"
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close"
    ground.storage.instead = f"{head}\r\n\r\n{body}".encode()
    ground.lines.do(ground.storage.cut)
    try:
        time.sleep(ground.seconds)
        _waits_are_named(ground.system)
    finally:
        ground.storage.instead = None


def _refused(system: System) -> None:
    """An edit is refused as the contract says, so that a client knows that it may ask again."""
    with system.stack.http(timeout=5) as api:
        body = {"prompt": "make it sepia", "image": "https://example.com/a.png"}
        answer: httpx.Response = api.post("/v1/edits", json=body)
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] in {"unavailable", "queue_full"}
    assert int(answer.headers["Retry-After"]) > 0


def _waits_are_named(system: System) -> None:
    with system.stack.http(timeout=10) as api:
        shown = api.get("/v1/edits", params={"status": "queued,submitting,processing,storing", "limit": 200}).json()
    for edit in shown["data"]:
        assert edit["waiting"]["for"] in WAITS, edit


def _misconfigured(own: OwnValkey) -> bool:
    with own.client() as client:
        return client.info("persistence")["aof_last_write_status"] != "ok"
