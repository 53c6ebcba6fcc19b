"""A system without edits stays as it is: sets of worker processes side by side, with the product's own limits.

Of each set two processes end, by SIGTERM and by SIGKILL, and are replaced; their broker is emptied; the Redis of
another set is away for longer than the limit of a stall. Nothing else may end, and each step goes on being served.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import redis as redis_sync

from config.settings import load
from tests.integration.workers.conftest import environment
from tests.integration.workers.processes import STEPS, Processes, all_succeed, rounds_of
from tests.integration.workers.rounds import Rounds, until
from tests.parts.sandbox import Sandbox
from tests.parts.valkey import OwnServer

SERVED_WITHIN = 5.0  # seconds
ALL = [STEPS]
SPLIT = [[step] for step in STEPS]  # as in docker-compose.yml


System = Callable[[OwnServer, str, Sequence[Sequence[str]]], Processes]


@pytest.fixture
def system(sandbox: Sandbox, tmp_path: Path) -> Iterator[System]:
    sandbox.options(latency=0.05, wait=0.01, paint="plain")
    with contextlib.ExitStack() as opened:

        def made(server: OwnServer, namespace: str, sets: Sequence[Sequence[str]]) -> Processes:
            folder = tmp_path / namespace
            folder.mkdir()
            environ = environment(server.url, sandbox, folder) | {
                "RETOUCH_NAMESPACE": namespace,
            }
            processes = Processes(environ, folder, opened)
            for steps in sets:
                processes.start(steps)
            return processes

        yield made


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Callable[[], OwnServer]]:
    started: list[OwnServer] = []

    def start() -> OwnServer:
        started.append(OwnServer(tmp_path / f"server{len(started)}"))
        return started[-1]

    yield start
    for one in started:
        one.process.send_signal(signal.SIGCONT)
        one.kill()


async def looks(rounds: Rounds, step: str) -> None:
    """A chain of the step answers a wake-up: it says until when it sleeps."""
    before = await rounds.redis.zrange(rounds.key("idle", step), 0, -1, withscores=True)
    await rounds.redis.publish(rounds.key("wake"), step)

    async def looked() -> bool:
        now = await rounds.redis.zrange(rounds.key("idle", step), 0, -1, withscores=True)
        return bool(now != before)

    await until(looked, within=SERVED_WITHIN)


async def goes_on(processes: Processes, sandbox: Sandbox) -> None:
    """Each step is served, and an edit goes through."""
    processes.none_ended()
    async with rounds_of(processes.environ, sandbox) as rounds:
        await asyncio.gather(*(looks(rounds, step) for step in STEPS))
        bought = rounds.bought()
        began = time.monotonic()
        await all_succeed(rounds, [await rounds.accept()], before=bought)
        assert time.monotonic() - began < SERVED_WITHIN
    processes.none_ended()


async def two_end(processes: Processes, sets: Sequence[Sequence[str]]) -> None:
    """One process ends by SIGTERM, another one by SIGKILL, and each is replaced. The soak ends all of them."""
    await processes.replace(0, sets[0], by=signal.SIGTERM)
    await processes.replace(0, sets[1 % len(sets)], by=signal.SIGKILL)
    processes.none_ended()


async def test_workers_that_are_left_alone_stay_as_they_are(
    system: System, servers: Callable[[], OwnServer], sandbox: Sandbox
) -> None:
    limit = load({}, dotenv=None).stall_limit.total_seconds()
    calm, cut = servers(), servers()
    away = system(cut, "away", 2 * ALL)
    await away.all_run()
    cut.process.send_signal(signal.SIGSTOP)

    sets = {"one": ALL, "two": 2 * ALL, "four": 4 * ALL, "split": SPLIT}
    ended = {name: system(calm, name, steps) for name, steps in sets.items()}
    for processes in ended.values():
        await processes.all_run()
    await asyncio.gather(*(two_end(ended[name], sets[name]) for name in sets))
    with redis_sync.Redis(port=calm.port, db=1) as broker:
        broker.flushdb()
    began = time.monotonic()
    await until(lambda: time.monotonic() - began > limit + 3)
    cut.process.send_signal(signal.SIGCONT)
    for processes in (*ended.values(), away):
        await goes_on(processes, sandbox)
