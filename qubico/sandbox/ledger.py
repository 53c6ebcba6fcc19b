"""The account's book: every accepted task is bought here, counted as running, charged, and found again.

Counting what runs costs a heap step per create, not a walk over all tasks.
"""

import bisect
import heapq
from collections import Counter
from typing import Any

from qubico.sandbox.tasks import UNITS_PER_USD, Status, Task

RUNNING: tuple[Status, ...] = ("staged", "pending", "processing")


class Ledger:
    def __init__(self, *, balance_usd: float) -> None:
        self.tasks: list[Task] = []
        self._by_id: dict[str, Task] = {}
        self._by_file: dict[str, Task] = {}
        self._failing: list[Task] = []  # tasks with a failure, planned or met: they may be refunded
        self._unended: dict[int, Task] = {}
        self._ends: list[tuple[float, int]] = []
        self._parked: list[tuple[float, int]] = []  # staged tasks do not count as running
        self._credit = int(balance_usd * UNITS_PER_USD)
        self._spent_before = 0
        self._sold = 0  # units of all tasks

    def add(self, task: Task) -> None:
        self.tasks.append(task)
        self._sold += task.price
        self._by_id[task.task_id] = task
        self._by_file[task.file_name] = task
        self._unended[task.number] = task
        heapq.heappush(self._ends, (task.ended, task.number))
        if task.staged_until > task.created:
            heapq.heappush(self._parked, (task.staged_until, task.number))
        if task.failure:
            self._failing.append(task)

    def moved(self, task: Task) -> None:
        """The task ends at another time than planned."""
        heapq.heappush(self._ends, (task.ended, task.number))
        if task.failure:
            self._failing.append(task)

    def by_id(self, task_id: str) -> Task | None:
        return self._by_id.get(task_id)

    def by_file(self, name: str) -> Task | None:
        return self._by_file.get(name)

    def staged(self, now: float) -> int:
        while self._parked and self._parked[0][0] <= now:
            heapq.heappop(self._parked)
        return len(self._parked)

    def in_flight(self, now: float) -> int:
        """Pending and processing. A task whose picture is still being worked on comes back through `moved`."""
        while self._ends and self._ends[0][0] <= now:
            _, number = heapq.heappop(self._ends)
            task = self._unended.get(number)
            if task and task.over(now):
                del self._unended[number]
        return len(self._unended) - self.staged(now)

    def running(self, now: float) -> dict[Status, int]:
        self.in_flight(now)
        counts: Counter[Status] = Counter(task.status(now) for task in self._unended.values())
        return {name: counts[name] for name in RUNNING}

    def free_at(self, now: float, *, cap: int) -> float:
        """When a task accepted now may leave `staged`, if at most `cap` run at once."""
        ends = sorted(task.ended for task in self._unended.values())
        return now if len(ends) < cap else ends[len(ends) - cap]

    def charged(self, now: float, *, refund_failed: bool) -> int:
        refunds = sum(task.price for task in self._failing if task.over(now)) if refund_failed else 0
        return self._sold - refunds

    def balance(self, now: float, *, refund_failed: bool) -> int:
        return self._credit - (self.charged(now, refund_failed=refund_failed) - self._spent_before)

    def refill(self, balance_usd: float, now: float, *, refund_failed: bool) -> None:
        self._credit = int(balance_usd * UNITS_PER_USD)
        self._spent_before = self.charged(now, refund_failed=refund_failed)

    def between(self, start: float | None, end: float) -> list[Task]:
        """Tasks created in this span, newest first."""
        low = 0 if start is None else bisect.bisect_left(self.tasks, start, key=lambda task: task.created)
        high = bisect.bisect_right(self.tasks, end, key=lambda task: task.created)
        return self.tasks[low:high][::-1]

    def duplicates(self) -> dict[str, int]:
        """Tasks beyond the first with the same input, and with the same webhook token (empty tokens aside)."""
        inputs = Counter(_input_key(task) for task in self.tasks)
        tokens = Counter(key for task in self.tasks if (key := (task.order.endpoint, task.order.secret)) != ("", ""))
        return {"same_input": _beyond_first(inputs), "same_webhook": _beyond_first(tokens)}

    def row(self, task: Task, now: float, *, refund_failed: bool) -> dict[str, Any]:
        return {
            "task_id": task.task_id,
            "created_at": task.created,
            "status": task.status(now),
            "units": task.units(now, refund_failed=refund_failed),
            "prompt": task.order.prompt,
            "seed": task.order.seed,
            "webhook_endpoint": task.order.endpoint,
            "webhook_secret": task.order.secret,
            "faults": sorted(task.faults),
            "reads": task.reads,
            "downloads": task.downloads,
            "callbacks": task.callbacks,
        }


def _input_key(task: Task) -> tuple[str, str, int, int, int, int]:
    order = task.order
    return (order.prompt, order.image, order.width, order.height, order.steps, order.seed)


def _beyond_first(counts: Counter[Any]) -> int:
    return sum(counts.values()) - len(counts)
