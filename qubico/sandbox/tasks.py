"""A task and its state, which is not stored but follows from planned times and the clock, so sleep is free."""

import math
import uuid
from dataclasses import dataclass
from random import Random
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from qubico.sandbox.faults import TABLE, Stage
from qubico.sandbox.intake import Order
from qubico.sandbox.options import SandboxOptions

Status = Literal["staged", "pending", "processing", "completed", "failed"]
UNITS_PER_USD = 10_000_000


@dataclass(frozen=True, slots=True)
class Failure:
    """The error of a failed task; the true cause is often only in the log."""

    log: str
    raw_message: str


class BadPicture(Exception):
    """The input cannot be loaded, or opened as a picture."""


OUT_OF_MEMORY = Failure("worker: out of memory", "")
NO_WORKER = Failure("queue: no worker takes this task", "failed to dispatch the task")
FAILURES = {
    "moderated": Failure("input moderation: prompt refused", "Banned Prompt: the prompt was refused by moderation"),
    "failed": OUT_OF_MEMORY,
    "failed_500": OUT_OF_MEMORY,
    "failed_create": NO_WORKER,
    "failed_create_500": NO_WORKER,
}


class Task(BaseModel):
    """One bought task. Its times are planned when it is accepted; only the work on its picture can move its end."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    order: Order
    created: float
    staged_until: float
    started: float
    ended: float  # infinite: stuck
    result_type: str
    file_name: str
    address: str
    paint: str
    price: int  # units
    faults: dict[str, float]  # with the number of times that are left
    failure: Failure | None
    worked: bool  # the picture is painted, or there is nothing to paint
    task_id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    number: int = 0  # given by the ledger
    reads: int = 0
    downloads: int = 0

    def status(self, now: float) -> Status:
        if self.over(now):
            return "failed" if self.failure else "completed"
        if now < self.staged_until:
            return "staged"
        return "pending" if now < self.started else "processing"

    def over(self, now: float) -> bool:
        return self.worked and now >= self.ended

    def units(self, now: float) -> int:
        """Its cost: the full price from acceptance on, nothing once it failed (a guess about the provider)."""
        return 0 if self.status(now) == "failed" else self.price

    def spend(self, fault: str) -> bool:
        """True as long as the fault has times left, and takes one."""
        left = self.faults.get(fault, 0)
        if left < 1:
            return False
        self.faults[fault] = left - 1
        return True

    def odd_answer(self, stage: Stage) -> Response | None:
        """The answer of a fault of this stage, instead of the usual one."""
        for name in self.faults:
            fault = TABLE[name]
            if fault.stage == stage and fault.answer and self.spend(name):
                return fault.answer()
        return None

    def finish(self, now: float, failure: Failure | None) -> None:
        """The work is done: a bad picture ends the task at once, a good one not before its time."""
        self.worked = True
        self.failure = failure
        self.ended = now if failure else max(self.ended, now)

    @property
    def called_back(self) -> bool:
        return self.order.endpoint.startswith(("http://", "https://")) and "callback_lost" not in self.faults


def plan(
    order: Order,
    *,
    now: float,
    base: str,
    faults: dict[str, float],
    options: SandboxOptions,
    random: Random,
) -> Task:
    """Draws the times of a new task and its failure, if any."""
    wait, run = (
        median * math.exp(random.gauss(0, options.latency_sigma)) for median in (options.wait, options.latency)
    )
    staged_until = now + options.latency * faults.get("staged", 0)
    started = staged_until + wait
    ended = math.inf if "stuck" in faults else started + run * faults.get("slow", 1)
    if "failed_create" in faults or "failed_create_500" in faults:
        staged_until = started = ended = now
    result_type = next((kind for kind in ("jpg", "webp") if kind in faults), "png")
    file_name = f"{uuid.uuid4()}.{result_type}"
    failure = next((FAILURES[name] for name in FAILURES if name in faults), None)
    return Task(
        order=order,
        created=now,
        staged_until=staged_until,
        started=started,
        ended=ended,
        result_type=result_type,
        file_name=file_name,
        address=f"{base}/temp/{file_name}",
        paint=options.paint,
        price=options.price,
        faults=faults,
        failure=failure,
        worked=failure is not None or options.paint == "plain" or "stuck" in faults,
    )
