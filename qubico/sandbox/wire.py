"""The provider's answers as dicts: envelope, task, history rows. On purpose no code is shared with our client."""

import json
from typing import Any

from starlette.responses import PlainTextResponse, Response

from qubico.sandbox.clock import go_time
from qubico.sandbox.options import SandboxOptions
from qubico.sandbox.tasks import Status, Task

HTML_PAGE = """<!DOCTYPE html>
<html lang="en-US"><head><title>{status} {reason}</title></head>
<body><h1>{status} {reason}</h1><p>cloudflare</p></body></html>
"""
REASONS = {404: "Not Found", 502: "Bad Gateway", 503: "Service Unavailable"}


class Answer(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def success(data: Any, *, status: int = 200, code: int = 200) -> Answer:
    return Answer({"code": code, "data": data, "message": "success"}, status)


def error(status: int, message: str, *, headers: dict[str, str] | None = None) -> Answer:
    return Answer({"code": status, "data": None, "message": message}, status, headers)


def bad_key() -> Answer:
    return Answer({"code": 401, "message": "failed to verify api key"}, 401)


def throttled(retry_after: int) -> Answer:
    return error(429, "too many requests", headers={"Retry-After": str(retry_after)} if retry_after else None)


def html(status: int) -> Response:
    return Response(HTML_PAGE.format(status=status, reason=REASONS[status]), status, media_type="text/html")


def unknown_route() -> Response:
    return PlainTextResponse("404 page not found", 404)


def task_data(
    task: Task,
    now: float,
    options: SandboxOptions,
    *,
    picture: str = "",
    address: str = "",
    claim: Status | None = None,
) -> dict[str, Any]:
    """`data` of a task now, or as `claim` says; picture and address only if it is completed."""
    status = claim or task.status(now)
    odd = task.has("odd")
    failure = task.failure if status == "failed" else None
    started = None if status in ("staged", "pending") else min(task.started, now)
    ended = min(task.ended, now) if status in ("completed", "failed") else None
    return {
        "task_id": task.task_id,
        "model": task.order.model,
        "task_type": task.order.task_type,
        "status": status.capitalize() if odd else status,
        "config": _config(task, options),
        "input": _input(task),
        "output": {"image_base64": picture, "image_url": address} if status == "completed" else None,
        "meta": {
            "created_at": go_time(task.created, shanghai=odd),
            "started_at": go_time(started, shanghai=odd),
            "ended_at": go_time(ended, shanghai=odd),
            "usage": _usage(task, now, options, settled=ended is not None),
            "is_using_private_pool": task.order.service_mode == "private",
        },
        "detail": None,
        "logs": None if odd else [failure.log] if failure else [],
        "error": {
            "code": failure.code if failure else 1100 if task.has("odd_code") else 0,
            "raw_message": failure.raw_message if failure else "",
            "message": failure.message if failure else "",
            "detail": None,
        },
    }


def history_row(task: Task, now: float, options: SandboxOptions) -> dict[str, Any]:
    """No prompt, input or webhook: only the read of a task shows those."""
    return {
        "id": task.number,
        "account_id": 1,
        "api_key_id": 1,
        "action": "create",
        "task_id": task.task_id,
        "task_model": task.order.model,
        "status": task.status(now),
        "service_mode": task.order.service_mode,
        "usage": task.units(now, refund_failed=options.refund_failed),
        "usage_type": "point",
        "fixed": False,
        "created_at": go_time(task.created),
        "updated_at": go_time(task.ended if task.over(now) else task.created),
        "detail": {"model": task.order.model, "task_id": task.task_id, "workflow_type": task.order.task_type},
    }


def _config(task: Task, options: SandboxOptions) -> dict[str, Any]:
    if options.echo == "strip":
        return {"service_mode": task.order.service_mode}
    whole = options.echo == "whole"
    hook = {"endpoint": task.order.endpoint if whole else "", "secret": task.order.secret if whole else ""}
    return {"service_mode": task.order.service_mode, "webhook_config": hook}


def _usage(task: Task, now: float, options: SandboxOptions, *, settled: bool) -> dict[str, Any]:
    units = task.units(now, refund_failed=options.refund_failed)
    if options.usage == "2025":
        return {"type": "llm", "frozen": 0, "consume": units}
    return {"type": "point", "frozen": 0 if settled else units, "consume": units if settled else 0}


def _input(task: Task) -> dict[str, Any]:
    order = task.order
    return {
        "height": order.height,
        "image": order.image,
        "prompt": order.prompt,
        "seed": order.seed,
        "steps": order.steps,
        "width": order.width,
    }
