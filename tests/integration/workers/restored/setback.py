"""What tests of a Redis that was set back share: how it loses its tail, and how the doubt is settled."""

from pathlib import Path

from edits.models import Step
from tests.integration.workers.rounds import Rounds
from tests.parts.valkey import OwnServer
from workers.steps.adopt import Adopt

QUIET = 61.0
"""Seconds: just over the quiet period."""


ALIVE = list(Step)


async def beat(*processes: Rounds) -> None:
    for process in processes:
        await process.clients.registry.heartbeat(ALIVE)


async def offset(rounds: Rounds) -> int:
    return int(await rounds.redis.get(rounds.key("clock")) or 0)


async def set_back(rounds: Rounds, server: OwnServer, copy: Path) -> None:
    """The clock that tests move is no part of what is lost."""
    ahead = await offset(rounds)
    server.set_back(copy)
    server.command("SET", rounds.key("clock"), str(ahead))
    await rounds.redis.connection_pool.disconnect()


async def died(rounds: Rounds, server: OwnServer) -> None:
    server.kill()
    server.start()
    await rounds.redis.connection_pool.disconnect()


async def spoken(*processes: Rounds) -> None:
    """Every process has heard from the new server and answered it."""
    await beat(*processes)
    await processes[0].wait(6)
    await beat(*processes)


async def look(rounds: Rounds) -> None:
    step = rounds.work[Step.ADOPT]
    assert isinstance(step, Adopt)
    await step.restored.look()


async def is_shut(rounds: Rounds) -> bool:
    return bool(await rounds.redis.exists(rounds.key("doubt")))


async def witnessed(rounds: Rounds) -> None:
    """The quiet period has passed, and an edit accepted since the doubt is bought and vouches for the history."""
    await beat(rounds)
    await rounds.wait(4)
    await beat(rounds)
    await rounds.wait(30)
    witness = await rounds.accept("a witness")
    await beat(rounds)
    assert await rounds.run(Step.SUBMIT) == [witness]
    await rounds.wait(QUIET)
    await beat(rounds)


async def settled(rounds: Rounds) -> None:
    await witnessed(rounds)
    await look(rounds)
    assert not await is_shut(rounds)


async def settled_upto(rounds: Rounds) -> int:
    """All that was bought before is found: ms, by the clock of Redis."""
    return int(await rounds.redis.hget(rounds.key("doubt"), "settled"))
