"""Question: what CPU does an edit cost the workers? Beside it: a bare script, and a Celery task a poll.

All read a task as often: the stand-in shows its end at the sixth read. CPU seconds are those of the processes, so that
a busy machine stretches the time that a run takes more than what it finds.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

from benchmarks import baselines
from benchmarks.colours import BESIDE, GOAL, OURS
from benchmarks.provider import Provider
from benchmarks.rounds import Design, goal, interleaved, say
from benchmarks.system import running

READS: Final = 6
SPEED: Final = 16.0  # tasks of 2 s, so that a round does not take a minute
GAP: Final = 0.3  # seconds between the reads of those who do not learn
SIZES: Final = {"256 KiB": 256 * 1024, "1.8 MB": 1_800_000}
WARM: Final = 60  # edits that are not counted
RATE: Final = 100.0  # edits a second
TUTORIAL_RATE: Final = 15.0  # more than one core does
DEFERRED: Final = "taskiq, 256 KiB"
DEFERRED_RATE: Final = 50.0  # so that its ticks, not the queue, are most of what a round takes
DEFERRED_ROUNDS: Final = 1
WITHIN: Final = 240.0  # seconds for a run to end


def measure(*, full: bool = False) -> dict[str, Any]:
    edits, rounds = (700, 5) if full else (500, 3)
    found = interleaved(_designs(edits), rounds=rounds)
    if find_spec("taskiq_redis"):  # its ticks of a second make a round long
        found |= interleaved({DEFERRED: partial(_deferred, edits // 8)}, rounds=DEFERRED_ROUNDS)
    else:
        say("left out: taskiq, which is not installed (requirements-bench.lock)")
    return {"rate": RATE, "edits": edits, "reads": READS, "rounds": rounds, "ms": found, "goals": _goals(found)}


def _designs(edits: int) -> dict[str, Design]:
    designs: dict[str, Design] = {}
    for name, size in SIZES.items():
        provider = Provider(reads=READS, speed=SPEED, picture_bytes=size)
        designs[f"Retouch, {name}"] = partial(_product, provider, edits)
        designs[f"floor, {name}"] = partial(_floor, provider, edits)
        for pool in baselines.POOLS if size == SIZES["256 KiB"] else ():
            designs[f"tutorial ({pool}), {name}"] = partial(_tutorial, provider, pool, edits // 8)
    return designs


async def _product(provider: Provider, edits: int) -> dict[str, float]:
    async with running(provider, workers=1, api=True) as system:
        await system.post_evenly(WARM, rate=RATE)
        await system.until_ended(WARM, within=WITHIN)
        await system.control()
        before = await system.used()
        await system.post_evenly(edits, rate=RATE)
        await system.until_ended(WARM + edits, within=WITHIN)
        used = (await system.used()).since(before)
        reads = (await system.counters())["reads"]
    return {
        **{name: used.cpu[name] / edits * 1000 for name in ("worker", "api", "valkey")},
        "commands": used.commands / edits,
        "reads": reads / edits,
    }


async def _floor(provider: Provider, edits: int) -> dict[str, float]:
    spent = await baselines.floor(provider, edits=edits, warm=WARM, rate=RATE, gap=GAP)
    return {"worker": spent / edits * 1000}


async def _tutorial(provider: Provider, pool: str, edits: int) -> dict[str, float]:
    spent = await baselines.tutorial(provider, pool=pool, edits=edits, warm=WARM // 3, rate=TUTORIAL_RATE, gap=GAP)
    return {"worker": spent / edits * 1000}


async def _deferred(edits: int) -> dict[str, float]:
    spent = await baselines.deferred(
        Provider(reads=READS, speed=SPEED), edits=edits, warm=0, rate=DEFERRED_RATE, gap=GAP
    )
    return {"worker": spent / edits * 1000}


def _goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    goals = [goal(f"workers' CPU ≤ 1.3 x floor, {name}", times(found, f"floor, {name}"), most=1.3) for name in SIZES]
    tutorial = min((name for name in found if name.startswith("tutorial")), key=lambda name: _median(found, name))
    most = 1 / times(found, tutorial)
    return [*goals, goal(f"the better {tutorial} ≥ 8 x workers' CPU", most, least=8.0)]


def times(found: Mapping[str, Any], other: str) -> float:
    """The product's CPU as a multiple of the other's, at the same size of pictures."""
    return _median(found, f"Retouch, {other.rpartition(', ')[2]}") / _median(found, other)


def _median(found: Mapping[str, Any], name: str) -> float:
    return float(found[name]["worker"]["median"])


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    ms = found["ms"]
    workers = [
        {
            "design": name,
            "Retouch is": f"{times(ms, name):.2f} x",
            "CPU, ms an edit": row["worker"]["median"],
            "least": row["worker"]["least"],
            "most": row["worker"]["most"],
        }
        for name, row in ms.items()
    ]
    once = f"; taskiq: {DEFERRED_ROUNDS}" if DEFERRED in ms else ""
    yield f"CPU of the workers, {found['reads']} reads an edit, medians of {found['rounds']} rounds{once}", workers
    beside = [
        {
            "pictures": name,
            "api, ms": ms[f"Retouch, {name}"]["api"]["median"],
            "Redis, ms": ms[f"Retouch, {name}"]["valkey"]["median"],
            "commands": ms[f"Retouch, {name}"]["commands"]["median"],
            "reads": ms[f"Retouch, {name}"]["reads"]["median"],
        }
        for name in SIZES
    ]
    yield "Beside the workers, an edit (commands: those that scripts call included)", beside
    yield "Goals", found["goals"]


def headline(found: Mapping[str, Any]) -> str:
    ms, size = found["ms"], next(iter(SIZES))
    tutorial = min((name for name in ms if name.startswith("tutorial")), key=lambda name: _median(ms, name))
    return (
        f"With pictures of {size} and {found['reads']} reads, an edit costs the workers "
        f"{times(ms, f'floor, {size}'):.2f} x the CPU of a bare asyncio script that has no queue and no records; a "
        f"Celery task a poll costs {1 / times(ms, tutorial):.1f} x as much."
    )


def picture(found: Mapping[str, Any], figure: Any) -> None:
    axes = figure.subplots()
    rows = [(name, row["worker"]) for name, row in found["ms"].items()][::-1]
    colours = [OURS if name.startswith("Retouch") else BESIDE for name, _ in rows]
    medians = [row["median"] for _, row in rows]
    spreads = [[row["median"] - row["least"] for _, row in rows], [row["most"] - row["median"] for _, row in rows]]
    axes.barh([name for name, _ in rows], medians, xerr=spreads, color=colours, ecolor="#444", capsize=2)
    for place, (name, row) in enumerate(rows):
        reaches = row["most"]
        if name.startswith("Retouch"):
            most = 1.3 * _median(found["ms"], name.replace("Retouch", "floor"))
            axes.plot([most, most], [place - 0.48, place + 0.48], **GOAL)
            reaches = max(reaches, most)
        axes.annotate(f"{row['median']:.1f}", (reaches, place), (4, 0), textcoords="offset points", va="center")
    axes.set_xlabel(
        f"CPU of the workers, ms an edit ({found['reads']} reads); lines: least and most of the rounds; "
        "dashed: the goal, 1.3 x the floor"
    )
