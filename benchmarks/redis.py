"""Question: what does an edit cost Redis over its life? Beside it: thousands that are taken in at once.

On an embedded Valkey as `retouch up` starts it (appendfsync always). CPU is that of its main thread: other programs on
the machine stretch times, not that. Commands are those that scripts call; trips are reads of its socket.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.colours import BESIDE, OURS
from benchmarks.life import LEASE, ROOM, SNOOZES, TOGETHER, World, live, new_edit
from benchmarks.rounds import goal, spread
from benchmarks.spent import server, spent
from edits.db.acceptance import Accepted
from edits.db.repository import EditRepository


def measure(*, full: bool = False) -> dict[str, Any]:
    edits, rounds, bulk = (1000, 5, 20_000) if full else (100, 3, 10_000)
    lives: dict[str, list[dict[str, dict[str, float]]]] = {"alone": [], "together": []}
    many: dict[str, list[dict[str, float]]] = {"always": [], "everysec": []}
    for _ in range(rounds):
        for way, found in lives.items():
            found.append(asyncio.run(_life(edits, at_once=TOGETHER if way == "together" else 1)))
        for fsync, taken in many.items():
            taken.append(asyncio.run(_bulk(bulk, fsync)))
    taken_in = {fsync: _spreads(found) for fsync, found in many.items()}
    return {
        "edits": edits,
        "rounds": rounds,
        "snoozes": SNOOZES,
        "bulk": bulk,
        "lives": {
            way: {step: _spreads([life[step] for life in found]) for step in found[0]} for way, found in lives.items()
        },
        "many": taken_in,
        "goals": [
            goal("edits a second by accept_many ≥ 20,000", taken_in["always"]["edits/s"]["median"], least=20_000),
            goal("Redis held by a chunk, at most: ms ≤ 10", taken_in["always"]["held, ms at most"]["median"], most=10),
        ],
    }


def _spreads(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {name: spread([row[name] for row in rows]) for name in rows[0]}


async def _life(edits: int, *, at_once: int) -> dict[str, dict[str, float]]:
    async with server() as client:
        world = World(client, edits, at_once)
        await world.repository.accept_many([(new_edit(), None)], ROOM)  # loads the scripts
        await world.schedule.claim_submit(1, lease=LEASE)
        await live(world)
        return world.found


# Thousands at once


async def _bulk(edits: int, fsync: str) -> dict[str, float]:
    async with server(fsync) as client:
        repository = EditRepository(client, namespace="bench")
        await repository.accept_many([(new_edit(), None)], ROOM)
        await client.config_set("latency-tracking-info-percentiles", "50 99 100")
        asked = [(new_edit(), None) for _ in range(edits)]
        await client.config_resetstat()
        before, began = await spent(client), time.perf_counter()
        taken = await repository.accept_many(asked, ROOM)
        took = time.perf_counter() - began
        after = await spent(client)
        held = (await client.info("latencystats"))["latency_percentiles_usec_evalsha"]
        if not all(isinstance(one, Accepted) for one in taken):
            raise RuntimeError("not every edit was taken")
    return {
        "edits/s": edits / took,
        "edits/s of Redis' CPU": edits / (after["cpu"] - before["cpu"]) * 1e6,
        "commands": (after["commands"] - before["commands"]) / edits,
        "held, ms p50": held["p50"] / 1000,
        "held, ms p99": held["p99"] / 1000,
        "held, ms at most": held["p100"] / 1000,
        "log bytes": (after["log"] - before["log"]) / edits,
        "memory bytes": (after["memory"] - before["memory"]) / edits,
    }


# Tables


def _life_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    alone, together = found["lives"]["alone"], found["lives"]["together"]
    rows = [
        {
            "step": step,
            "CPU alone, µs": alone[step]["cpu"]["median"],
            "together, µs": row["cpu"]["median"],
            "calls": row["calls"]["median"],
            "commands": row["commands"]["median"],
            "trips alone": alone[step]["trips"]["median"],
            "together": row["trips"]["median"],
            "bytes in": row["bytes in"]["median"],
            "bytes out": row["bytes out"]["median"],
            "log bytes": row["log"]["median"],
        }
        for step, row in together.items()
    ]
    whole = {name: sum(row[name] for row in rows) for name in rows[0] if name != "step"}
    return [*rows, {"step": "whole life", **whole}]


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield (
        f"An edit with {found['snoozes']} snoozes in Redis; alone: call by call, together: {TOGETHER} at once; medians",
        _life_rows(found),
    )
    yield (
        f"{found['bulk']:,} edits by accept_many",
        [
            {"appendfsync": fsync, **{name: value["median"] for name, value in row.items()}}
            for fsync, row in found["many"].items()
        ],
    )
    if "goals" in found:
        yield "Goals", found["goals"]


def picture(found: Mapping[str, Any], figure: Any) -> None:
    axes = figure.subplots()
    rows = _life_rows(found)[:-1][::-1]
    for offset, name, colour in ((0.2, "CPU alone, µs", BESIDE), (-0.2, "together, µs", OURS)):
        places = [place + offset for place in range(len(rows))]
        axes.barh(places, [row[name] for row in rows], height=0.38, color=colour, label=name)
    axes.set_yticks(range(len(rows)), [row["step"] for row in rows])
    axes.set_xlabel("CPU of Redis, µs an edit")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
