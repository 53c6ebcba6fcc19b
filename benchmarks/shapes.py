"""How long tasks take at the provider, in the shapes that the questions are asked of. Every draw comes from a seed."""

import functools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

WAIT: Final = (1.5, 0.2)  # seconds before a task starts, mean and spread

Draw = Callable[[random.Random], float]


@dataclass(frozen=True, slots=True)
class Task:
    """Seconds."""

    wait: float
    run: float

    @property
    def whole(self) -> float:
        return self.wait + self.run


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    run: Draw

    def draw(self, chance: random.Random) -> Task:
        return Task(max(0.05, chance.gauss(*WAIT)), max(0.1, self.run(chance)))

    def tasks(self, number: int, *, seed: int) -> list[Task]:
        chance = random.Random(seed)
        return [self.draw(chance) for _ in range(number)]

    def floor(self, lag: float) -> float:
        """Reads that theory needs at this mean lag, the last one included. Where reads are few, a little fewer will do.

        Gaps g(t) cost the integral of S/g in reads and that of f * g/2 in lag; both are least at g = c * sqrt(S/f).
        """
        return _disorder(self) ** 2 / 2 / lag + 0.5


@functools.cache
def _disorder(shape: Shape) -> float:
    """The integral of sqrt(f * S)."""
    times = sorted(task.run for task in shape.tasks(100_000, seed=1))
    parts = 400
    edges = [times[min(len(times) - 1, i * len(times) // parts)] for i in range(parts + 1)]
    return sum(math.sqrt((edges[i + 1] - edges[i]) / parts * (1 - (i + 0.5) / parts)) for i in range(parts))


def _lognormal(spread: float) -> Draw:
    return lambda chance: 30 * math.exp(chance.gauss(-spread * spread / 2, spread))


def _two_kinds(chance: random.Random) -> float:
    return chance.gauss(15, 1.5) if chance.random() < 0.5 else chance.gauss(45, 3)


STEADY: Final = Shape("30 ± 3 s", lambda chance: chance.gauss(30, 3))
SLOW: Final = Shape("slow day, 75 ± 10 s", lambda chance: chance.gauss(75, 10))
SHAPES: Final = (
    STEADY,
    Shape("lognormal 0.25", _lognormal(0.25)),
    Shape("lognormal 0.5", _lognormal(0.5)),
    Shape("bimodal 15 / 45 s", _two_kinds),
    SLOW,
)
