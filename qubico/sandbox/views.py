"""What the provider shows of its tasks and the account, as the `data` of its answers."""

from typing import Any

from qubico.sandbox.clock import go_time
from qubico.sandbox.options import SandboxOptions
from qubico.sandbox.tasks import UNITS_PER_USD, Status, Task

NO_CAP = 1_000_000


def task_data(task: Task, status: Status, now: float, options: SandboxOptions, output: Any) -> dict[str, Any]:
    """The output is shown only if the status is `completed`."""
    odd = "odd" in task.faults
    failure = task.failure if status == "failed" else None
    started = None if status in ("staged", "pending") else min(task.started, now)
    ended = min(task.ended, now) if status in ("completed", "failed") else None
    return {
        "task_id": task.task_id,
        "model": task.order.model,
        "task_type": task.order.task_type,
        "status": status.capitalize() if odd else status,
        "config": _config(task, options.echo),
        "input": task.order.input,
        "output": output if status == "completed" else None,
        "meta": {
            "created_at": go_time(task.created, shanghai=odd),
            "started_at": go_time(started, shanghai=odd),
            "ended_at": go_time(ended, shanghai=odd),
            "usage": _usage(options.usage, task.units(now), settled=ended is not None),
            "is_using_private_pool": task.order.service_mode == "private",
        },
        "detail": None,
        "logs": None if odd else [failure.log] if failure else [],
        "error": {
            "code": 10_000 if failure else 1100 if "odd_code" in task.faults else 0,
            "raw_message": failure.raw_message if failure else "",
            "message": "task failed" if failure else "",
            "detail": None,
        },
    }


def history_row(task: Task, now: float) -> dict[str, Any]:
    """No prompt, input or webhook: only the read of a task shows those."""
    return {
        "id": task.number,
        "task_id": task.task_id,
        "task_model": task.order.model,
        "status": task.status(now),
        "service_mode": task.order.service_mode,
        "usage": task.units(now),
        "created_at": go_time(task.created),
    }


def account(*, left: int, used: int, cap: int) -> dict[str, Any]:
    """Credit is in units; a cap of 0 is none."""
    return {
        "id": 1,
        "account_id": 1,
        "account_name": "sandbox",
        "plan": "sandbox",
        "equivalent_in_usd": left / UNITS_PER_USD,
        "max_concurrent_task_count": cap or NO_CAP,
        "credit_pack_info": {"available_credits": left, "used_credits": used, "total_credits": left + used},
        "wallet": {"point_remain": left, "point_frozen": 0, "point_used": used},
    }


def _config(task: Task, echo: str) -> dict[str, Any]:
    order = task.order
    if echo == "strip":
        return {"service_mode": order.service_mode}
    endpoint, secret = (order.endpoint, order.secret) if echo == "whole" else ("", "")
    return {"service_mode": order.service_mode, "webhook_config": {"endpoint": endpoint, "secret": secret}}


def _usage(generation: str, units: int, *, settled: bool) -> dict[str, Any]:
    if generation == "2025":
        return {"type": "llm", "frozen": 0, "consume": units}
    return {"type": "point", "frozen": 0 if settled else units, "consume": units if settled else 0}
