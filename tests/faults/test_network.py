"""What lies between the processes fails: replies are lost, messages come twice, a worker's network is a black hole."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults import doubling, lines, workers
from tests.faults.lines import Lines
from tests.faults.scenario import SOAK, Scenario
from tests.faults.system import System
from tests.parts.proxy import Proxy
from tests.parts.valkey import free_port, server_binary, start_server

pytestmark = pytest.mark.fault

LEAST_DOUBLED = 5
RESTART_EVERY = 5.0  # seconds; a chain that nobody runs is started after seven
AFTERWARDS = 3.0  # seconds in which the worker that is back could send what is no longer its own
IN_HAND = 3  # creates whose answers a worker waits for when its network goes


@dataclass
class Ground:
    """A system whose Redis lies behind a line; only the broker is reached directly."""

    system: System
    lines: Lines
    redis: Proxy
    doses: list[str] = field(default_factory=list)


def replies_lost(scenario: Scenario, ground: Ground, seconds: int) -> None:
    """The client library asks again, so every script runs twice now and then."""
    lost = ground.redis.lost
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ground.lines.do(lambda: setattr(ground.redis, "lose", 1))
        time.sleep(scenario.chance.expovariate(4))
    ground.lines.do(lambda: setattr(ground.redis, "lose", 0))
    ground.doses.append(f"{ground.redis.lost - lost} replies in {seconds} s")


def messages_doubled(_scenario: Scenario, ground: Ground, seconds: int) -> None:
    """A calm system sends few messages, so workers are killed and started: each brings links for all its chains."""
    stack, kills = ground.system.stack, 0
    with doubling.doubled(stack.setting("RETOUCH_BROKER_URL")) as doubler, workers.beside(stack, 1) as others:
        until = time.monotonic() + seconds
        while time.monotonic() < until or doubler.doubled < LEAST_DOUBLED:
            time.sleep(RESTART_EVERY)
            others.kill(others.pids()[0])
            kills += 1
            assert time.monotonic() < until + 60, f"{doubler.doubled} messages"
    ground.doses.append(f"{doubler.doubled} messages in {seconds} s with {kills} kills")


def worker_cut_off(_scenario: Scenario, ground: Ground, seconds: int) -> None:
    """It has sent creates; the answers, Redis and the broker are out of its reach until the others have ended all."""
    system, stack = ground.system, ground.system.stack
    redis = ground.lines.to(_port(stack.redis_url))
    provider = ground.lines.to(_port(stack.sandbox_url))
    cut = Cut(ground.lines, redis, provider)
    provider.before_forwarding = cut.seen
    beyond = {
        "RETOUCH_REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
        "RETOUCH_BROKER_URL": f"redis://127.0.0.1:{redis.port}/1",
        "RETOUCH_QUBICO__BASE_URL": f"http://127.0.0.1:{provider.port}",
    }
    worker = workers.start(stack, "--steps", "submit", **beyond)
    try:
        until = time.monotonic() + 90
        while not cut.made:
            assert time.monotonic() < until, f"the worker bought nothing: {worker.poll()}"
            system.submit(len(system.accepted))
            time.sleep(0.1)
        began = time.monotonic()
        time.sleep(seconds)
        assert system.until_ended(within=200, leap=not SOAK), "the others did not end what was cut off"
        ground.doses.append(f"{time.monotonic() - began:.0f} s with {IN_HAND} creates in hand")
        ground.lines.do(cut.over)
        system.fault_over()
        time.sleep(AFTERWARDS)
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.wait()


class Cut:
    """Holds the answers to a worker's creates, and at the third one nothing of it passes any more."""

    def __init__(self, lines: Lines, redis: Proxy, provider: Proxy) -> None:
        self._lines, self._redis, self._provider = lines, redis, provider
        self._posts = 0
        self.made = False

    def seen(self, data: bytes) -> None:
        if data.startswith(b"POST ") and not self.made:
            self._provider.hold()
            self._posts += 1
            if self._posts == IN_HAND:
                self.made = True
                self._redis.swallow()
                self._lines.soon(self._provider.swallow)

    def over(self) -> None:
        self._redis.flow()
        self._provider.flow()


@dataclass(frozen=True)
class NetworkFault:
    name: str
    fault: str
    how: str
    make: Callable[[Scenario, Ground, int], None]


FAULTS = [
    NetworkFault("replies_lost", "replies of scripts are lost", "proxy before Redis cuts replies", replies_lost),
    NetworkFault("messages_doubled", "every Celery message comes twice", "pushed again as pushed", messages_doubled),
    NetworkFault("worker_cut_off", "a worker's network is a black hole", "proxies pass nothing", worker_cut_off),
]
IN_TURN = NetworkFault("network_in_turn", "every fault of the network in turn", "as below", worker_cut_off)
RUNS = [pytest.param(fault, [fault], id=fault.name) for fault in FAULTS] if SOAK else [
    pytest.param(IN_TURN, FAULTS, id=IN_TURN.name)
]  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("named", "faults"), RUNS)
def test_network(scenario: Scenario, tmp_path: Path, named: NetworkFault, faults: list[NetworkFault]):
    edits = scenario.size("edits", test=15, soak=120)
    seconds = scenario.size("seconds", test=4, soak=40)
    scenario.is_(named.fault, how=named.how)
    with behind_a_line(scenario, tmp_path) as ground:
        for fault in faults:
            with ground.system.submitting(edits, per_second=edits / seconds):
                fault.make(scenario, ground, seconds)
        scenario.row.dose = ", ".join(ground.doses)
        ground.system.fault_over()
        scenario.judge(ground.system)


@contextmanager
def behind_a_line(scenario: Scenario, folder: Path) -> Iterator[Ground]:
    port, sandbox_port = free_port(), free_port()
    server = start_server(server_binary(), folder / "redis", port)
    try:
        with lines.laid() as laid:
            redis = laid.to(port)
            settings = {
                "RETOUCH_REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
                "RETOUCH_BROKER_URL": f"redis://127.0.0.1:{port}/1",
                "RETOUCH_QUBICO__CREATES_PER_SECOND": "20",
                "RETOUCH_SANDBOX__PORT": str(sandbox_port),
                "SANDBOX_PUBLIC_URL": f"http://127.0.0.1:{sandbox_port}",
            }
            with scenario.system(**settings) as system:
                yield Ground(system, laid, redis)
    finally:
        server.terminate()
        server.wait(90)


def _port(url: str) -> int:
    return urlsplit(url).port or 0
