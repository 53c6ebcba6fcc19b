"""Statistics of callers, for tests and benchmarks: counts, peaks, lag of the read that shows a task's end."""

from bisect import bisect_right
from collections import Counter
from itertools import accumulate
from statistics import median
from typing import Any

from qubico.sandbox.tasks import Task


class Stats:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.creates: list[float] = []  # times of all creates, refused ones too: the caller's pace is measured

    def summary(self, tasks: list[Task], now: float) -> dict[str, Any]:
        statuses = Counter(task.status(now) for task in tasks)
        arrived = enumerate(self.creates, start=1)
        return {
            **{name: self.counts[name] for name in ("creates", "gets", "history_reads", "account_reads", "downloads")},
            "accepted": len(tasks),
            "throttled": {"creates": self.counts["throttled_creates"], "reads": self.counts["throttled_reads"]},
            "answers": {str(status): count for status, count in sorted(self.answers.items())},
            "statuses": dict(statuses),
            "in_flight": statuses["pending"] + statuses["processing"],
            "max_in_flight": _most_at_once(tasks, now),
            "max_creates_per_second": max(
                (number - bisect_right(self.creates, moment - 1) for number, moment in arrived), default=0
            ),
            "reads_per_task": _spread([float(task.reads) for task in tasks]),
            "noticed_after": _spread([max(task.seen - task.ended, 0.0) for task in tasks if task.seen is not None]),
            "callbacks": {name: self.counts[f"callbacks_{name}"] for name in ("delivered", "refused", "given_up")},
        }


def _most_at_once(tasks: list[Task], now: float) -> int:
    began = [(task.staged_until, 1) for task in tasks if task.staged_until <= now]
    ended = [(task.ended, -1) for task in tasks if task.over(now)]
    return max(accumulate(step for _, step in sorted(began + ended)), default=0)


def _spread(values: list[float]) -> dict[str, float] | None:
    return {"p50": round(median(values), 4), "max": round(max(values), 4)} if values else None
