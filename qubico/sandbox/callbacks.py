"""Calls a task's webhook. The body is fixed at the first attempt: a repeat may be outdated."""

import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import aiohttp

from qubico.sandbox.clock import Clock
from qubico.sandbox.options import SandboxOptions
from qubico.sandbox.tasks import Task

logger = logging.getLogger(__name__)
TIMEOUT = 5.0
EARLY_TIMEOUT = 2.0  # the create waits for it


@dataclass(frozen=True, slots=True)
class Callbacks:
    session: aiohttp.ClientSession
    clock: Clock
    counts: Counter[str]

    def body(self, data: dict[str, Any]) -> bytes:
        return json.dumps({"timestamp": int(self.clock.now()), "data": data}).encode()

    async def deliver(self, task: Task, body: bytes, options: SandboxOptions) -> None:
        for attempt in range(options.callback_attempts):
            if attempt:
                await self.clock.until(self.clock.now() + options.callback_interval)
            if await self.post(task, body):
                return
        self.counts["callbacks_given_up"] += 1

    async def post(self, task: Task, body: bytes, *, within: float = TIMEOUT) -> bool:
        headers = {"Content-Type": "application/json"}
        if task.order.secret:
            headers["x-webhook-secret"] = task.order.secret
        try:
            async with self.session.post(
                task.order.endpoint,
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(within),
                allow_redirects=False,
            ) as answer:
                taken = 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            logger.info("callback.unreachable task_id=%s error=%s", task.task_id, type(exc).__name__)
            taken = False
        self.counts["callbacks_delivered" if taken else "callbacks_refused"] += 1
        return taken
