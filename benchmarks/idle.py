"""Question: what does a system with nothing to do cost? And how soon is it awake for one edit.

Idle: CPU of the worker processes, all steps in each, and all commands that Redis counts, those inside scripts included,
and who asks for them. Both systems stand side by side, for a minute: so long a chain with nothing to do waits.
One edit: what its life took beside the task at the provider and the lag of the read that saw the task's end.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import aiohttp
from redis.asyncio import Redis

from benchmarks.provider import Provider
from benchmarks.rounds import goal, say, spread
from benchmarks.system import NAMESPACE, System, running
from edits.db.sender import SCRIPTS

CELERY: Final = "Celery and connections"
ASKERS: Final = {
    "heartbeat": "heartbeats",
    "tick": "looks at the clock",
    "link": "links of chains",
    **dict.fromkeys(("claim_submit", "claim_due", "abandoned", "evict", "purge"), "claims and sweeps"),
}
"""By the name of their script; what calls none of ours is Celery's, or keeps a connection."""

_NAMES: Final = {script.sha: script.name for script in SCRIPTS.values()}


@dataclass(slots=True)
class Overheard:
    calls: int = 0
    """By clients, without what their scripts call."""

    by: Counter[str] = field(default_factory=Counter)
    """All commands, those that scripts call included, by who asked."""

    _asker: str = CELERY

    def note(self, client: str, command: str) -> None:
        """One line. A script is named just before what it calls, as nothing else runs meanwhile."""
        if client != "lua":
            words = command.split(maxsplit=2)
            script = _NAMES.get(words[1]) if words[0].upper() == "EVALSHA" and len(words) > 1 else None
            self._asker = CELERY if script is None else ASKERS.get(script, script)
            self.calls += 1
        self.by[self._asker] += 1


async def overhear(redis: Redis, *, seconds: float) -> Overheard:
    heard = Overheard()
    async with redis.monitor() as monitor:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for told in monitor.listen():
                    heard.note(told["client_type"], told["command"])
    return heard


PROCESSES: Final = (1, 2)
SETTLED: Final = 8.0  # seconds after the start, in which chains begin and workers look around
SPEED: Final = 30.0  # tasks of one second
MOST_CPU, MOST_COMMANDS, MOST_ADDED = 0.5, 20, 50  # % of a core a process, a second, ms: the goals
OWN: Final = Counter(monitor=1, info=1)  # what the question itself asks in between
BESIDE: Final = 3.0  # seconds between two edits, so that each one finds an idle system


def measure(*, full: bool) -> dict[str, Any]:
    idle = asyncio.run(_all_idle(seconds=120.0 if full else 60.0))
    alone = asyncio.run(_alone(edits=20 if full else 6))
    return {"idle": idle, "alone": alone, "goals": _goals(idle, alone)}


async def _all_idle(*, seconds: float) -> dict[str, Any]:
    figures = await asyncio.gather(*(_idle(number, seconds=seconds) for number in PROCESSES))
    return dict(zip(map(str, PROCESSES), figures, strict=True))


async def _idle(processes: int, *, seconds: float) -> dict[str, Any]:
    async with running(Provider(), workers=processes) as system:
        await asyncio.sleep(SETTLED)
        before, counted, began = await system.used(), await _commands(system), time.monotonic()
        heard = await overhear(system.redis, seconds=seconds)
        passed = time.monotonic() - began
        after = await _commands(system)
        used = (await system.used()).since(before)
    say(f"{processes} idle: {used.cpu['worker'] / passed:.2%} of a core")
    return {
        "cpu_percent": used.cpu["worker"] / processes / passed * 100,
        "redis_percent": used.cpu["valkey"] / passed * 100,
        "commands": (after - counted - OWN).total() / passed,
        "calls": heard.calls / passed,
        "by": {asker: number / passed for asker, number in heard.by.most_common()},
    }


async def _commands(system: System) -> Counter[str]:
    told = await system.redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): int(figures["calls"]) for name, figures in told.items()})


async def _alone(*, edits: int) -> dict[str, Any]:
    inside, outside = [], []
    async with running(Provider(speed=SPEED), workers=1, api=True) as system, aiohttp.ClientSession() as http:
        for number in range(edits + 1):
            await asyncio.sleep(BESIDE)
            added, seen = await _one(system, http)
            if number:  # the first opens every connection
                inside.append(added)
                outside.append(seen)
                say(f"one edit: {added:.0f} ms added, {seen:.0f} ms with the client's way there and back")
    return {"added_ms": spread(inside), "seen_ms": spread(outside), "edits": edits}


async def _one(system: System, http: aiohttp.ClientSession) -> tuple[float, float]:
    """What one edit took beside its task and the lag of the last read, in ms: by its record, and for a client."""
    body = {"prompt": "one edit", "image": "https://pictures.example/one.png"}
    headers = {"X-API-Key": system.api_key, "Prefer": "wait=50"}
    began = time.monotonic()
    async with http.post(f"{system.api_url}/v1/edits", json=body, headers=headers) as answer:
        edit = await answer.json()
    seen = time.monotonic() - began
    if edit.get("status") != "succeeded":
        raise RuntimeError(f"the edit did not succeed: {edit}")
    async with http.get(f"{system.provider_url}/api/v1/task/{edit['provider']['task_id']}") as answer:
        told = (await answer.json(content_type=None))["data"]["meta"]
    task = _moment(told["ended_at"]) - _moment(told["created_at"])
    lag = (await system.counters())["lags"][-1]
    created, ended = (int(text or 0) for text in await system.redis.hmget(f"{NAMESPACE}:e:{edit['id']}", "cr", "en"))
    return ended - created - (task + lag) * 1000, (seen - task - lag) * 1000


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _goals(idle: Mapping[str, Any], alone: Mapping[str, Any]) -> list[dict[str, Any]]:
    each = [
        row
        for number, figures in idle.items()
        for row in (
            goal(f"an idle process of {number}: % of a core, at most", figures["cpu_percent"], most=MOST_CPU),
            goal(f"commands of Redis a second with {number} idle, at most", figures["commands"], most=MOST_COMMANDS),
        )
    ]
    return [*each, goal("one edit on an idle system: ms added, at most", alone["added_ms"]["median"], most=MOST_ADDED)]


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "Idle: goals", found["goals"]
    yield (
        "Idle, all steps in each process",
        [
            {
                "processes": number, "a process, % of a core": figures["cpu_percent"],
                "Redis, % of a core": figures["redis_percent"], "calls a second": figures["calls"],
                "commands of Redis a second": figures["commands"],
                "by": ", ".join(f"{asker} {rate:.1f}" for asker, rate in figures["by"].items()),
            }
            for number, figures in found["idle"].items()
        ],
    )  # fmt: skip
    alone = found["alone"]
    yield (
        f"One edit on an idle system, {alone['edits']} times: ms beside its task and the lag of one read",
        [
            {"seen by": who, **alone[name]}
            for who, name in (("its record", "added_ms"), ("a client that waits for it", "seen_ms"))
        ],
    )
