"""Statistics of callers, for tests and benchmarks: counts of calls and answers, and the most tasks at once."""

from collections import Counter
from itertools import accumulate
from typing import Any

from qubico.sandbox.tasks import Task


class Stats:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()

    def summary(self, tasks: list[Task], now: float) -> dict[str, Any]:
        statuses = Counter(task.status(now) for task in tasks)
        return {
            **{name: self.counts[name] for name in ("creates", "gets", "history_reads", "account_reads", "downloads")},
            "accepted": len(tasks),
            "throttled": {"creates": self.counts["throttled_creates"], "reads": self.counts["throttled_reads"]},
            "answers": {str(status): count for status, count in sorted(self.answers.items())},
            "statuses": dict(statuses),
            "in_flight": statuses["pending"] + statuses["processing"],
            "max_in_flight": _most_at_once(tasks, now),
            "callbacks": {name: self.counts[f"callbacks_{name}"] for name in ("delivered", "refused", "given_up")},
        }


def _most_at_once(tasks: list[Task], now: float) -> int:
    began = [(task.staged_until, 1) for task in tasks if task.staged_until <= now]
    ended = [(task.ended, -1) for task in tasks if task.over(now)]
    return max(accumulate(step for _, step in sorted(began + ended)), default=0)
