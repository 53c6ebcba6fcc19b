"""Question: does a step cost Redis more work among 100,000 edits in flight, or only more time? Instructions tell.

callgrind counts those of valkey-server, which no other program on the machine disturbs; beside them stands its CPU time
on the same data. Each server begins on files that were written anew, so that nothing is moved about meanwhile. A
thousand edits are put in flight by the product's scripts, and the others are copies of those.
"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from benchmarks.colours import BESIDE, GOAL, OURS
from benchmarks.life import LEASE, ROOM, TOGETHER, World, live, new_edit
from benchmarks.rounds import goal, say, summed
from benchmarks.spent import server_on, spent
from edits.models import new_id

LEVELS: Final = (1_000, 100_000)
SNOOZES: Final = 2  # a task that waits, and one that has begun
PATIENCE: Final = 120.0  # seconds: under callgrind a server is some fifty times as slow
FAR: Final = 3000.0  # seconds until those in flight are due: they are there, and nothing else
MOST: Final = 1.25  # times what it is at the first level
COPIED: Final = """
local ns, old = KEYS[1] .. ':', ARGV[1]
local due = redis.call('ZSCORE', ns .. 'due:poll', old)
for n = 2, #ARGV do
  local id = ARGV[n]
  for _, kind in ipairs({'e:', 'i:', 't:'}) do redis.call('COPY', ns .. kind .. old, ns .. kind .. id) end
  redis.call('HSET', ns .. 'e:' .. id, 'ti', 'task-' .. id)
  redis.call('SET', ns .. 'task:task-' .. id, id)
  redis.call('ZADD', ns .. 'due:poll', due + n, id)
  redis.call('ZADD', ns .. 'index:default', 0, id)
end
"""


def measure(*, full: bool = False) -> dict[str, Any]:
    edits, rounds = (400, 5) if full else (100, 3)
    return asyncio.run(_measure(edits, rounds))


async def _measure(edits: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        data = await _filled(Path(folder))
        counted: dict[int, Mapping[str, float]] = {}
        if lacking := [name for name in ("valgrind", "vgdb") if shutil.which(name) is None]:
            say(f"instructions: left out, as {lacking[0]} is not installed")
        else:
            for level, files in data.items():
                counted[level] = await _lived(files, edits, counting=True)
                say(f"instructions: counted at {level}")
        timed: dict[int, list[Mapping[str, float]]] = {level: [] for level in LEVELS}
        for _ in range(rounds):
            for level, files in data.items():
                timed[level].append(await _lived(files, 3 * edits, counting=False))
    first, last = ({name: row["median"] for name, row in summed(timed[level]).items()} for level in LEVELS)
    steps = told(counted, first, last)
    return {"edits": edits, "rounds": rounds, "levels": LEVELS, "steps": steps, "goals": goals(steps)}


def told(
    counted: Mapping[int, Mapping[str, float]], first: Mapping[str, float], last: Mapping[str, float]
) -> list[dict[str, Any]]:
    few, many = (f"{level:,}" for level in LEVELS)
    rows = []
    for step in first:
        row: dict[str, Any] = {"step": step}
        if counted:
            row |= {f"instructions, {few}": round(counted[LEVELS[0]][step])}
            row |= {f"instructions, {many}": round(counted[LEVELS[1]][step])}
            row |= {"times": counted[LEVELS[1]][step] / counted[LEVELS[0]][step]}
        row |= {f"CPU µs, {few}": first[step], f"CPU µs, {many}": last[step], "times as long": last[step] / first[step]}
        rows.append(row)
    return rows


def goals(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    few, many = (f"CPU µs, {level:,}" for level in LEVELS)
    whole = sum(row[many] for row in steps) / sum(row[few] for row in steps)
    found = [goal(f"CPU of a whole life, last to first ≤ {MOST}", whole, most=MOST)]
    if "times" in steps[0]:
        worst = max(steps, key=lambda row: row["times"])
        found.insert(0, goal(f"instructions, last to first ≤ {MOST}: {worst['step']}", worst["times"], most=MOST))
    return found


# Edits in flight, kept as files


async def _filled(folder: Path) -> dict[int, Path]:
    """The data of a server with so many in flight."""
    growing = folder / "growing"
    growing.mkdir()
    kept = {}
    async with server_on(growing, fsync="no", patience=PATIENCE) as (client, _):
        await client.config_set("auto-aof-rewrite-percentage", 0)
        ids = await _put(client, LEVELS[0])
        for level in LEVELS:
            await _multiply(client, ids, level // LEVELS[0])
            await _written_anew(client)
            kept[level] = Path(shutil.copytree(growing, folder / str(level)))
    return kept


async def _put(client: Redis, number: int) -> list[str]:
    world = World(client, number, TOGETHER)
    await world.repository.accept_many([(new_edit(), None) for _ in range(number)], ROOM)
    ids = [claim.id for claim in await world.claims(None)]
    bought = partial(world.outcomes.bought, attempt=1, how="answer", first_look=FAR)
    await world.decided([partial(bought, edit_id, task_id=f"task-{edit_id}") for edit_id in ids])
    await client.unlink(*[key async for key in client.scan_iter(match="bench:claim:*", count=1000)])
    return ids


async def _multiply(client: Redis, ids: Sequence[str], times: int) -> None:
    copied = client.register_script(COPIED)
    for edit_id in ids if times > 1 else ():
        await copied(keys=["bench"], args=[edit_id, *(new_id() for _ in range(times - 1))])


async def _written_anew(client: Redis) -> None:
    await client.bgrewriteaof()
    while True:
        told = await client.info("persistence")
        if not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]:
            return
        await asyncio.sleep(0.05)


# What a life costs among them


@dataclass
class Callgrind:
    pid: int
    folder: Path
    counted: int = 0

    async def tell(self, *words: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "vgdb", f"--pid={self.pid}", *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        if await process.wait():
            raise RuntimeError(f"valgrind does not answer to {' '.join(words)}")

    async def count(self, _: Redis) -> dict[str, float]:
        """All so far: each dump tells what came since the last one."""
        await self.tell("dump")
        (dump,) = self.folder.glob("callgrind.*.[0-9]*")
        found = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.MULTILINE)
        if found is None:
            raise RuntimeError("callgrind has dumped no total")
        dump.unlink()
        self.counted += int(found[1])
        return {"found": self.counted}


async def _cpu(client: Redis) -> dict[str, float]:
    return {"found": (await spent(client))["cpu"]}


async def _lived(files: Path, edits: int, *, counting: bool) -> dict[str, float]:
    """Of each step what an edit costs: instructions, or µs of CPU."""
    with tempfile.TemporaryDirectory() as folder:
        async with _served(files, Path(folder), counting=counting) as (client, callgrind):
            world = World(client, edits, TOGETHER, callgrind.count if callgrind else _cpu, SNOOZES)
            await _trusted(world)
            if callgrind:
                await callgrind.tell("instrumentation", "on")
                await callgrind.count(client)
            await live(world)
            async with world.step("accept by the list"):
                await world.repository.accept_many([(new_edit(), None) for _ in range(edits)], ROOM)
        return {step: found["found"] for step, found in world.found.items()}


@asynccontextmanager
async def _served(files: Path, folder: Path, *, counting: bool) -> AsyncIterator[tuple[Redis, Callgrind | None]]:
    data, out = folder / "data", folder / "callgrind"
    shutil.copytree(files, data)
    under = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}.%p", "--quiet")
    async with server_on(data, under=under if counting else (), patience=PATIENCE) as (client, pid):
        await client.config_set("auto-aof-rewrite-percentage", 0)
        yield client, Callgrind(pid, folder) if counting else None


async def _trusted(world: World) -> None:
    """Another server on these data doubts them; as a copy of all of them, they are whole. Loads the scripts."""
    await world.schedule.claim_submit(1, lease=LEASE)
    await world.client.delete("bench:doubt", "bench:awaited")
    await world.repository.accept_many([(new_edit(), None) for _ in range(TOGETHER)], ROOM)
    left = TOGETHER
    while left:
        left -= len((await world.schedule.claim_submit(left, lease=LEASE)).claims)


# Tables


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    few, many = found["levels"]
    yield f"What a step costs Redis among {few:,} and {many:,} in flight, {TOGETHER} calls at once", found["steps"]
    yield "Goals", found["goals"]


def picture(found: Mapping[str, Any], figure: Any) -> None:
    axes = figure.subplots()
    rows = found["steps"][::-1]
    for offset, name, colour in ((0.2, "times as long", BESIDE), (-0.2, "times", OURS)):
        if name in rows[0]:
            label = "instructions" if name == "times" else "CPU time"
            places = [place + offset for place in range(len(rows))]
            axes.barh(places, [row[name] for row in rows], height=0.38, color=colour, label=label)
    axes.axvline(MOST, **GOAL)
    axes.set_yticks(range(len(rows)), [row["step"] for row in rows])
    axes.set_xlabel("among {1:,} in flight, times what it is among {0:,}".format(*found["levels"]))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
