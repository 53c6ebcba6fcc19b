"""The account's book: every accepted task is bought here, counted as running, charged, and found again."""

import bisect
from typing import Any

from qubico.sandbox.tasks import UNITS_PER_USD, Task


class Ledger:
    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self._by_name: dict[str, Task] = {}  # by task id, and by name of the result file
        self._unended: list[Task] = []
        self._sold = 0  # units of all tasks but those that failed
        self._credit = 0  # units ever paid in

    def add(self, task: Task) -> None:
        self.tasks.append(task)
        task.number = len(self.tasks)
        self._unended.append(task)
        self._by_name |= {task.task_id: task, task.file_name: task}
        self._sold += task.price

    def find(self, name: str) -> Task | None:
        return self._by_name.get(name)

    def unended(self, now: float) -> list[Task]:
        over = [task for task in self._unended if task.over(now)]
        if over:
            self._sold -= sum(task.price - task.units(now) for task in over)
            self._unended = [task for task in self._unended if not task.over(now)]
        return self._unended

    def charged(self, now: float) -> int:
        self.unended(now)
        return self._sold

    def balance(self, now: float) -> int:
        return self._credit - self.charged(now)

    def refill(self, balance_usd: float, now: float) -> None:
        self._credit = int(balance_usd * UNITS_PER_USD) + self.charged(now)

    def between(self, start: float, end: float) -> list[Task]:
        """Tasks created in this span, newest first."""
        low = bisect.bisect_left(self.tasks, start, key=lambda task: task.created)
        high = bisect.bisect_right(self.tasks, end, key=lambda task: task.created)
        return self.tasks[low:high][::-1]

    def duplicates(self) -> dict[str, int]:
        """Tasks beyond the first with the same input, and with the same webhook token (empty tokens aside)."""
        orders = [task.order for task in self.tasks]
        inputs = [(order.model, order.task_type, str(order.input)) for order in orders]
        tokens = [(order.endpoint, order.secret) for order in orders if order.endpoint or order.secret]
        return {"same_input": len(inputs) - len(set(inputs)), "same_webhook": len(tokens) - len(set(tokens))}

    def row(self, task: Task, now: float) -> dict[str, Any]:
        return {
            "task_id": task.task_id,
            "created_at": task.created,
            "status": task.status(now),
            "units": task.units(now),
            "prompt": task.order.prompt,
            "seed": task.order.input["seed"],
            "webhook_endpoint": task.order.endpoint,
            "webhook_secret": task.order.secret,
            "faults": sorted(task.faults),
            "reads": task.reads,
            "downloads": task.downloads,
        }
