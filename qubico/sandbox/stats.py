"""Statistics of callers, for tests and benchmarks: counts, peaks, lag of the read that shows a task's end."""

from collections import Counter, deque
from statistics import fmean
from typing import Any

from qubico.sandbox.tasks import Task


class Stats:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.max_in_flight = 0
        self.max_creates_per_second = 0
        self._window: deque[float] = deque()

    def create_arrived(self, now: float) -> None:
        """Refused ones count too: the caller's pace is measured."""
        self.counts["creates"] += 1
        self._window.append(now)
        while self._window[0] <= now - 1:
            self._window.popleft()
        self.max_creates_per_second = max(self.max_creates_per_second, len(self._window))

    def running(self, count: int) -> None:
        self.max_in_flight = max(self.max_in_flight, count)

    def summary(self, tasks: list[Task], *, in_flight: int, now: float) -> dict[str, Any]:
        return {
            "creates": self.counts["creates"],
            "accepted": len(tasks),
            "gets": self.counts["gets"],
            "history_reads": self.counts["history_reads"],
            "account_reads": self.counts["account_reads"],
            "downloads": self.counts["downloads"],
            "throttled": {"creates": self.counts["throttled_creates"], "reads": self.counts["throttled_reads"]},
            "answers": {str(status): count for status, count in sorted(self.answers.items())},
            "statuses": dict(Counter(task.status(now) for task in tasks)),
            "in_flight": in_flight,
            "max_in_flight": self.max_in_flight,
            "max_creates_per_second": self.max_creates_per_second,
            "reads_per_task": _spread([float(task.reads) for task in tasks]),
            "noticed_after": _spread([max(task.seen - task.ended, 0.0) for task in tasks if task.seen is not None]),
            "callbacks": {name: self.counts[f"callbacks_{name}"] for name in ("delivered", "refused", "given_up")},
        }


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    values.sort()
    last = len(values) - 1
    return {
        "mean": round(fmean(values), 4),
        "p50": round(values[round(last * 0.5)], 4),
        "p99": round(values[round(last * 0.99)], 4),
        "max": round(values[-1], 4),
    }
