"""A task and its state, which is not stored but follows from planned times and the clock, so sleep is free."""

import math
import uuid
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from qubico.sandbox.faults import TABLE
from qubico.sandbox.intake import Order
from qubico.sandbox.options import SandboxOptions

Status = Literal["staged", "pending", "processing", "completed", "failed"]
UNITS_PER_USD = 10_000_000


@dataclass(frozen=True, slots=True)
class Failure:
    """The error of a failed task; the true cause is often only in the log."""

    log: str
    raw_message: str
    message: str = "task failed"
    code: int = 10_000


@dataclass(slots=True)
class Task:
    """One bought task. Its times are planned when it is accepted; only the work on its picture can move its end."""

    number: int
    order: Order
    created: float
    staged_until: float
    started: float
    ended: float  # infinite: stuck
    base: str
    result_type: str
    paint: str
    faults: dict[str, float]
    failure: Failure | None = None
    price: int = 200_000  # units
    worked: bool = False  # the picture is painted, or there is nothing to paint
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    file_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    reads: int = 0
    downloads: int = 0
    seen: float | None = None  # when a read first showed the end
    callbacks: int = 0

    def status(self, now: float) -> Status:
        if self.over(now):
            return "failed" if self.failure else "completed"
        if now < self.staged_until:
            return "staged"
        return "pending" if now < self.started else "processing"

    def over(self, now: float) -> bool:
        return self.worked and now >= self.ended

    def units(self, now: float, *, refund_failed: bool) -> int:
        """Its cost: the full price from acceptance on."""
        return 0 if refund_failed and self.status(now) == "failed" else self.price

    def has(self, fault: str) -> bool:
        return fault in self.faults

    def spend(self, fault: str) -> bool:
        """True as long as the fault has times left, and takes one."""
        left = self.faults.get(fault, 0)
        if left < 1:
            return False
        self.faults[fault] = left - 1
        return True

    def finish(self, now: float, failure: Failure | None) -> None:
        """The work is done: a bad picture ends the task at once, a good one not before its time."""
        self.worked = True
        self.failure = failure
        self.ended = now if failure else max(self.ended, now)

    @property
    def file_name(self) -> str:
        return f"{self.file_id}.{self.result_type}"

    @property
    def address(self) -> str:
        return f"{self.base}/temp/{self.file_name}"


def plan(
    order: Order,
    *,
    number: int,
    now: float,
    staged_until: float,
    base: str,
    faults: dict[str, float],
    options: SandboxOptions,
    random: Random,
) -> Task:
    """Draws the times of a new task and its failure, if any."""
    spread = options.latency_sigma
    wait = options.wait * math.exp(random.gauss(0, spread))
    run = options.latency * math.exp(random.gauss(0, spread)) * faults.get("slow", 1)
    staged_until = max(staged_until, now + options.latency * faults.get("staged", 0))
    started = staged_until + wait
    failure = _planned_failure(faults)
    at_create = "failed_create" in faults or "failed_create_500" in faults
    ended = math.inf if "stuck" in faults else started + run
    return Task(
        number=number,
        order=order,
        created=now,
        staged_until=now if at_create else staged_until,
        started=now if at_create else started,
        ended=now if at_create else ended,
        base=base,
        result_type=next((kind for kind in ("jpg", "webp") if kind in faults), options.result_type),
        paint=options.paint,
        price=options.price,
        faults={name: count for name, count in faults.items() if TABLE[name].stage != "refuse"},
        failure=failure,
        worked=failure is not None or options.paint == "plain" or "stuck" in faults,
    )


def _planned_failure(faults: dict[str, float]) -> Failure | None:
    if "moderated" in faults:
        return Failure("input moderation: prompt refused", "Banned Prompt: the prompt was refused by moderation")
    if "failed" in faults or "failed_500" in faults:
        return Failure("worker: out of memory", "")
    if "failed_create" in faults or "failed_create_500" in faults:
        return Failure("queue: no worker takes this task", "failed to dispatch the task")
    return None
