"""What makes a machine look like others: a Redis far away or on a slow disk, a second host in a network of its own.

Each says by `Impossible` why it cannot be had here.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from benchmarks.parts import STARTED_WITHIN, bare_environ
from benchmarks.rounds import say
from benchmarks.system import NAMESPACE, System
from cli.local import probes, programs
from cli.local.ports import unclaimed
from cli.local.programs import ROOT
from cli.local.supervisor import Part, Supervisor

HERE, THERE = "198.18.77.1", "198.18.77.2"  # of the range that is set aside for benchmarks


class Impossible(Exception):
    """It cannot be had on this machine; says why."""


@asynccontextmanager
async def far_redis(*, delay_ms: float) -> AsyncIterator[tuple[str, Supervisor]]:
    """The address of a Redis whose every call takes so much longer."""
    port, way = unclaimed(), unclaimed()
    with tempfile.TemporaryDirectory(prefix="retouch-bench-") as made:
        folder = Path(made)
        passing = _forward("way", f"127.0.0.1:{way}", f"127.0.0.1:{port}", folder, delay_ms=delay_ms)
        parts = [_part("valkey", programs.valkey(port, folder), folder, probes.ping(port)), passing]
        async with _kept(parts, folder) as supervisor:
            yield f"redis://127.0.0.1:{way}/0", supervisor


@asynccontextmanager
async def slow_disk(*, fsync_ms: float) -> AsyncIterator[tuple[str, Supervisor]]:
    """The address of a Redis whose every fsync takes so much longer: strace holds that one call back."""
    strace = shutil.which("strace")
    if strace is None:
        raise Impossible("strace is not installed")
    held = f"inject=fsync,fdatasync:delay_enter={round(fsync_ms * 1000)}"
    traced = (strace, "-f", "--seccomp-bpf", "-qqq", "-o", os.devnull, "-e", "trace=fsync,fdatasync", "-e", held)
    if await asyncio.to_thread(_ran, *traced, "true"):
        raise Impossible("strace may not trace here")
    port = unclaimed()
    with tempfile.TemporaryDirectory(prefix="retouch-bench-") as made:
        folder = Path(made)
        parts = [_part("valkey", (*traced, *programs.valkey(port, folder)), folder, probes.ping(port))]
        async with _kept(parts, folder) as supervisor:
            yield f"redis://127.0.0.1:{port}/0", supervisor
            for traced_one in psutil.Process(supervisor.pids()["valkey"]).children():
                traced_one.terminate()  # strace itself does not hear it


@asynccontextmanager
async def second_host(system: System) -> AsyncIterator[Supervisor]:
    """One worker process more, in a network namespace: all it asks goes over a link to this one."""
    name = f"retouch-bench-{os.getpid()}"
    await asyncio.to_thread(_network, name)
    try:
        inside = ("ip", "netns", "exec", name)
        ports = [int(url.rpartition(":")[2].partition("/")[0]) for url in _asked_by_workers(system)]
        ways = [_forward(f"out{port}", f"{HERE}:{port}", f"127.0.0.1:{port}", system.folder) for port in ports]
        ways += [
            _forward(f"in{port}", f"127.0.0.1:{port}", f"{HERE}:{port}", system.folder, inside=inside) for port in ports
        ]
        told = programs.environment(
            {"RETOUCH_METRICS__PORT": str(unclaimed())}, beneath=system.environ, folder=system.folder
        )
        worker = Part(
            name="worker",
            command=(*inside, *programs.worker(name=name)),
            environment=told,
            ready=lambda: _lives(system, processes=2),
            order=1,
            start_within=STARTED_WITHIN,
            folder=system.folder,
        )
        async with _kept([*ways, worker], system.folder) as supervisor:
            yield supervisor
    finally:
        await asyncio.to_thread(_ran, "ip", "netns", "delete", name)


def _network(name: str) -> None:
    """A namespace with a link of two ends to this one, which go with it."""
    if shutil.which("ip") is None:
        raise Impossible("iproute2 is not installed")
    ends = f"rb{os.getpid() % 100_000}a", f"rb{os.getpid() % 100_000}b"
    there = ["-n", name]
    for words in (
        ["netns", "add", name],
        ["link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", name],
        ["address", "add", f"{HERE}/30", "dev", ends[0]],
        ["link", "set", ends[0], "up"],
        [*there, "address", "add", f"{THERE}/30", "dev", ends[1]],
        [*there, "link", "set", ends[1], "up"],
        [*there, "link", "set", "lo", "up"],
    ):
        fault = _ran("ip", *words)
        if fault:
            _ran("ip", "netns", "delete", name)
            raise Impossible(f"no network namespace may be made here ({fault})")


def _ran(*command: str) -> str | None:
    """What it said when it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else None


def _asked_by_workers(system: System) -> tuple[str, str]:
    return system.environ["RETOUCH_REDIS_URL"], system.provider_url


async def _lives(system: System, *, processes: int) -> bool:
    return int(await system.redis.zcard(f"{NAMESPACE}:live")) >= processes


def _forward(
    name: str, listen: str, target: str, folder: Path, *, delay_ms: float = 0.0, inside: tuple[str, ...] = ()
) -> Part:
    command = (*inside, sys.executable, "-m", "benchmarks.forward", listen, target, str(delay_ms))
    host, _, port = listen.rpartition(":")
    ready = _at_once if inside else _listens(host, int(port))
    return _part(name, command, folder, ready)


async def _at_once() -> bool:
    return True


def _listens(host: str, port: int) -> probes.Probe:
    async def ready() -> bool:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return False
        writer.close()
        return True

    return ready


def _part(name: str, command: tuple[str, ...], folder: Path, ready: probes.Probe) -> Part:
    environ = bare_environ() | {"PYTHONPATH": str(ROOT)}
    return Part(
        name=name, command=command, environment=environ, ready=ready, start_within=STARTED_WITHIN, folder=folder
    )


@asynccontextmanager
async def _kept(parts: list[Part], folder: Path) -> AsyncIterator[Supervisor]:
    (folder / "beside").mkdir(exist_ok=True)
    async with Supervisor(parts, logs=folder / "beside", say=say, grace=10) as supervisor:
        yield supervisor
