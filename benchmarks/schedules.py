"""Ways to choose when a task is read next: the product's own, and those it is held against. None knows a task's end."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from benchmarks.shapes import Task
from edits.pacing import pace
from edits.pacing.pace import Pace, Took

LEARNED_AFTER: Final = 20  # tasks between two looks at what was learned


class Schedule(Protocol):
    def look(self, age: float, running: float | None) -> float:
        """Seconds to the next read; `age` 0: of a task just taken."""

    def ended(self, task: Task, *, called_back: bool) -> None: ...


@dataclass
class Learned:
    """The product: gaps from what tasks took so far."""

    stretch: float = 1.0
    seen: list[Took] = field(default_factory=list)
    number: int = 0
    _pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self._pace = Pace.learned(self.seen)

    def look(self, age: float, running: float | None) -> float:
        return self._pace.stretched(self.stretch).next_look(age, running=running)

    def ended(self, task: Task, *, called_back: bool) -> None:
        self.seen.insert(0, Took(task.wait, task.run, called_back))
        del self.seen[pace.KEPT :]
        self.number += 1
        if self.number % LEARNED_AFTER == 0:
            self._pace = Pace.learned(self.seen)


@dataclass
class Fixed:
    gap: float

    def look(self, age: float, running: float | None) -> float:
        return self.gap

    def ended(self, task: Task, *, called_back: bool) -> None:
        pass


@dataclass
class FixedAfterFirst(Fixed):
    """A first wait until one of twenty has ended, learned from the latest 200; then a fixed gap."""

    seen: list[float] = field(default_factory=list)
    first: float = 0.0

    def look(self, age: float, running: float | None) -> float:
        return self.gap if age else max(self.gap, self.first)

    def ended(self, task: Task, *, called_back: bool) -> None:
        self.seen.append(task.whole)
        if len(self.seen) % LEARNED_AFTER == 0:
            latest = sorted(self.seen[-200:])
            self.first = latest[len(latest) // 20]


@dataclass
class Backoff(Fixed):
    """Gaps that grow by half each time, as retry libraries do, up to ten times the first."""

    def look(self, age: float, running: float | None) -> float:
        gap, passed = self.gap, 0.0
        while passed < age - 1e-6 and gap < 10 * self.gap:
            passed += gap
            gap = min(gap * 1.5, 10 * self.gap)
        return gap
