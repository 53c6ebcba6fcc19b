"""The worker processes that live, as they said last: who works on which steps, which chains run, which ceilings hold.

What they say is written by `scripts/_crew.lua`; those of an older release say it by other keys, read here too.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio.client import Pipeline

from edits.db.keys import Key
from edits.models import Step

ASKED: Final = 3 + 2 * len(Step)
"""Answers that `ask` brings."""


@dataclass(frozen=True, slots=True)
class Crew:
    """How many processes, how many of them on each step, chains that run, ceilings they were given."""

    processes: int
    on: dict[Step, int]
    chains: dict[Step, int]
    ceilings: dict[str, tuple[float, ...]]  # each value once, lowest first


def ask(pipe: Pipeline, namespace: str) -> None:
    pipe.zrange(Key.LIVE.of(namespace), 0, -1, withscores=True)
    pipe.hgetall(Key.CREW.of(namespace))
    pipe.hgetall(Key.WANTED.of(namespace))
    for step in Step:
        pipe.zrange(Key.LIVE.of(namespace, step), 0, -1, withscores=True)
        pipe.hgetall(Key.CHAIN.of(namespace, step))


def crew_of(answers: Sequence[Any], *, now: int) -> Crew:
    """Of what `ask` brought, at `now` (ms, by the clock of the scripts)."""
    live, told, wanted, *by_step = answers
    alive = {process for process, until in live if until > now}
    said = {process: json.loads(text) for process, text in told.items() if process in alive}
    older = alive - said.keys()
    runs = {tuple(name.split(" ")) for one in said.values() for name in one["runs"].split(",") if name}
    values: dict[str, set[float]] = {}
    for name, value in _ceilings(said, {process: wanted[process] for process in older & wanted.keys()}):
        values.setdefault(name, set()).add(value)
    return Crew(
        processes=len(alive),
        on={
            step: sum(step in one["steps"].split() for one in said.values())
            + sum(process in older and until > now for process, until in rows)
            for step, rows in zip(Step, by_step[0::2], strict=True)
        },
        chains={
            step: len({slot for named, slot in runs if named == step} | _counting(slots, now))
            for step, slots in zip(Step, by_step[1::2], strict=True)
        },
        ceilings={name: tuple(sorted(given)) for name, given in values.items()},
    )


def _counting(slots: dict[str, str], now: int) -> set[str]:
    """Slots whose chain counts although nobody says that he runs it."""
    return {name[1:] for name, until in slots.items() if name.startswith("a") and int(until) >= now}


def _ceilings(said: dict[str, Any], wanted: dict[str, str]) -> list[tuple[str, float]]:
    pairs = [pair.split("=") for one in said.values() for pair in one["ceilings"].split()]
    older = [item for text in wanted.values() for item in json.loads(text).items() if item[0] != "beat"]
    return [(name, float(value)) for name, value in [*pairs, *older]]
