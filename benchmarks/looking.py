"""What a schedule costs in reads and in lag. It is asked as the worker asks it: first, and after each look in vain."""

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles

from benchmarks.schedules import Learned, Schedule
from benchmarks.shapes import STEADY, Shape, Task
from edits.pacing.pace import KEPT, Pace, Took


@dataclass(frozen=True, slots=True)
class Cost:
    """Means over tasks; lags in seconds."""

    reads: float
    lag: float
    p50: float
    p99: float


def asked(schedule: Schedule, task: Task) -> tuple[int, float]:
    """Reads until the end was seen, and how late."""
    age, reads = schedule.look(0.0, None), 1
    while age < task.whole:
        age += schedule.look(age, age - task.wait if age >= task.wait else None)
        reads += 1
    return reads, age - task.whole


def run(schedule: Schedule, tasks: Sequence[Task]) -> list[tuple[int, float]]:
    found = []
    for task in tasks:
        found.append(asked(schedule, task))
        schedule.ended(task, called_back=False)
    return found


def cost(found: Iterable[tuple[int, float]]) -> Cost:
    reads, lags = zip(*found, strict=True)
    cuts = quantiles(lags, n=100)
    return Cost(fmean(reads), fmean(lags), cuts[49], cuts[98])


def shift(*, warm: int, seed: int) -> list[dict[str, float]]:
    """Runs of 30 ± 3 s become 45 ± 4.5 s, and back: reads and lag in windows of 50 tasks after the shift."""
    chance, schedule, rows = random.Random(seed), Learned(), []
    before = [Task(1.5, chance.gauss(30, 3)) for _ in range(warm)]
    slower = [Task(1.5, chance.gauss(45, 4.5)) for _ in range(400)]
    faster = [Task(1.5, chance.gauss(30, 3)) for _ in range(400)]
    found = run(schedule, [*before, *slower, *faster])
    for first in range(warm - 100, len(found) - 49, 50):
        part = cost(found[first : first + 50])
        rows.append({"task": first - warm, "reads": part.reads, "lag": part.lag})
    return rows


def called_back(lost: float, *, warm: int, tasks: int, seed: int) -> dict[str, float]:
    """Callbacks come 50 ms after the end, except so many that are lost."""
    chance, schedule, found = random.Random(seed), Learned(), []
    for task in STEADY.tasks(warm + tasks, seed=seed):
        told = chance.random() >= lost
        reads, lag = asked(schedule, task)
        found.append((_before_the_end(schedule, task) + 1, 0.05) if told else (reads, lag))
        schedule.ended(task, called_back=told)
    part = cost(found[warm:])
    return {"lost": lost, "reads": part.reads, "lag": part.lag, "lag_p50": part.p50, "lag_p99": part.p99}


def _before_the_end(schedule: Schedule, task: Task) -> int:
    return asked(schedule, task)[0] - 1


def own_cost(shape: Shape, *, seed: int, rounds: int = 20) -> dict[str, float]:
    """CPU of the pace itself, the least of some rounds: learning, and a look that is found or looked up."""
    took = [Took(task.wait, task.run) for task in shape.tasks(KEPT, seed=seed)]
    learning, finding = float("inf"), float("inf")
    for _ in range(rounds):
        began = time.process_time()
        pace = Pace.learned(took)
        learned_at = time.process_time()
        pace.first_look()
        pace.next_look(25.0, running=23.5)
        learning, finding = min(learning, learned_at - began), min(finding, time.process_time() - learned_at)
    looks = 1000 * rounds
    began = time.process_time()
    for _ in range(looks):
        pace.next_look(25.0, running=23.5)
    look = (time.process_time() - began) / looks
    return {"learning_ms": learning * 1e3, "two_first_looks_ms": finding * 1e3, "a_look_us": look * 1e6}
