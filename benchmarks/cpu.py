"""Question: what CPU does an edit cost? Beside it: a bare script, one on our own client, and a Celery task a poll.

All read a task equally often: the stand-in shows its end at the sixth read. CPU is that of the processes, so a busy
machine stretches the time of a run more than its figures.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from benchmarks import baselines
from benchmarks.page import BESIDE, GOAL, OURS
from benchmarks.provider import Provider
from benchmarks.rounds import Design, goal, interleaved
from benchmarks.system import running

READS: Final = 6
SPEED: Final = 16.0  # tasks of 2 s, so that a round does not take a minute
GAP: Final = 0.3  # seconds between the reads of designs that do not learn
SIZES: Final = {"256 KiB": 256 * 1024, "1.8 MB": 1_800_000}
FIRST: Final = next(iter(SIZES))
WARM: Final = 60  # edits that are not counted
RATE: Final = 100.0  # edits a second
TUTORIAL_RATE: Final = 15.0  # more than one core does
WITHIN: Final = 240.0  # seconds for a run to end
MOST_WORKERS, MOST_WHOLE = 1.7, 2.6  # times the bare script's CPU: the goals
PARTS: Final = ("worker", "api", "valkey")


def measure(*, full: bool = False) -> dict[str, Any]:
    edits, rounds, others = (700, 9, 4) if full else (500, 5, 2)
    designs = _designs(edits)
    goals = [name for name in designs if name.endswith(FIRST) and not name.startswith("tutorial")]
    found = interleaved({name: designs.pop(name) for name in goals}, rounds=rounds)
    found |= interleaved(designs, rounds=others)
    counts = {"rounds": rounds, "others": others}
    return {"rate": RATE, "edits": edits, "reads": READS, **counts, "ms": found, "goals": _goals(found)}


def _designs(edits: int) -> dict[str, Design]:
    designs: dict[str, Design] = {}
    for name, size in SIZES.items():
        provider = Provider(reads=READS, speed=SPEED, picture_bytes=size)
        designs[f"Retouch, {name}"] = partial(_product, provider, edits)
        for script in baselines.SCRIPTS:
            designs[f"{script}, {name}"] = partial(_script, script, provider, edits)
        for pool in baselines.POOLS if name == FIRST else ():
            designs[f"tutorial ({pool}), {name}"] = partial(_tutorial, pool, provider, edits // 8)
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
    cpu = {name: used.cpu[name] / edits * 1000 for name in PARTS}
    return {**cpu, "whole": sum(cpu.values()), "commands": used.commands / edits, "reads": reads / edits}


async def _script(name: str, provider: Provider, edits: int) -> dict[str, float]:
    return {"worker": await baselines.script(name, provider, edits=edits, warm=WARM, rate=RATE, gap=GAP) / edits * 1000}


async def _tutorial(pool: str, provider: Provider, edits: int) -> dict[str, float]:
    spent = await baselines.tutorial(pool, provider, edits=edits, warm=WARM // 3, rate=TUTORIAL_RATE, gap=GAP)
    return {"worker": spent / edits * 1000}


def times_bare(found: Mapping[str, Any], name: str, figure: str = "worker") -> float:
    """CPU of a design as a multiple of the bare script's with pictures of the same size."""
    return float(found[name][figure]["median"] / found[f"bare, {name.rpartition(', ')[2]}"]["worker"]["median"])


def _cheapest_tutorial(found: Mapping[str, Any]) -> str:
    return min((name for name in found if name.startswith("tutorial")), key=lambda name: times_bare(found, name))


def _goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    ours, tutorial = f"Retouch, {FIRST}", _cheapest_tutorial(found)
    saved = times_bare(found, tutorial) / times_bare(found, ours)
    return [
        goal(f"workers ≤ {MOST_WORKERS} x bare, {FIRST}", times_bare(found, ours), most=MOST_WORKERS),
        goal(
            f"workers, api and Redis ≤ {MOST_WHOLE} x bare, {FIRST}", times_bare(found, ours, "whole"), most=MOST_WHOLE
        ),
        goal(f"the better {tutorial} ≥ 8 x our workers", saved, least=8.0),
    ]


def tables(found: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    ms = found["ms"]
    yield (
        f"Workers' CPU, {found['reads']} reads, medians of {found['rounds']} rounds (others: {found['others']})",
        [
            {
                "design": name, "times bare": times_bare(ms, name), "CPU, ms an edit": row["worker"]["median"],
                "least": row["worker"]["least"], "most": row["worker"]["most"],
            }
            for name, row in ms.items()
        ],
    )  # fmt: skip
    yield (
        "The whole of Retouch, CPU ms an edit (commands: those that scripts call included)",
        [
            {
                "pictures": size, "workers": row["worker"]["median"], "api": row["api"]["median"],
                "Redis": row["valkey"]["median"], "whole": row["whole"]["median"],
                "whole, times bare": times_bare(ms, f"Retouch, {size}", "whole"),
                "commands": row["commands"]["median"], "reads": row["reads"]["median"],
            }
            for size, row in ((size, ms[f"Retouch, {size}"]) for size in SIZES)
        ],
    )  # fmt: skip
    yield "Goals", found["goals"]


def headline(found: Mapping[str, Any]) -> str:
    ms, ours = found["ms"], f"Retouch, {FIRST}"
    workers, whole, celery = times_bare(ms, ours), times_bare(ms, ours, "whole"), times_bare(ms, _cheapest_tutorial(ms))
    return (
        f"With pictures of {FIRST} and {found['reads']} reads, the workers take {workers:.1f} x the CPU of a bare "
        f"aiohttp script that has no queue and no records; workers, API and Redis together take {whole:.1f} x, "
        f"a Celery task a poll {celery:.0f} x."
    )


def picture(found: Mapping[str, Any], figure: Any) -> None:
    axes = figure.subplots()
    rows = [(name, row["worker"]) for name, row in found["ms"].items()][::-1]
    colours = [OURS if name.startswith("Retouch") else BESIDE for name, _ in rows]
    bars = axes.barh([name for name, _ in rows], [row["median"] for _, row in rows], color=colours)
    axes.bar_label(bars, fmt="%.1f", padding=4)
    for place, (name, _) in enumerate(rows):
        if name.startswith("Retouch"):
            most = MOST_WORKERS * found["ms"][name.replace("Retouch", "bare")]["worker"]["median"]
            axes.plot([most, most], [place - 0.48, place + 0.48], **GOAL)
    axes.set_xlabel(f"CPU of the workers, ms an edit ({found['reads']} reads); dashed: {MOST_WORKERS} x bare")
