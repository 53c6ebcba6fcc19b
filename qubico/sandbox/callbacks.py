"""Calls a task's webhook. The body is fixed at the first attempt: a repeat may be outdated."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from qubico.sandbox.clock import Clock
from qubico.sandbox.options import SandboxOptions
from qubico.sandbox.stats import Stats
from qubico.sandbox.tasks import Task
from qubico.sandbox.timeline import Timeline

logger = logging.getLogger(__name__)
EARLY_TIMEOUT = 2.0


class Callbacks:
    def __init__(
        self,
        *,
        clock: Clock,
        timeline: Timeline,
        stats: Stats,
        options: Callable[[], SandboxOptions],
        session: Callable[[], aiohttp.ClientSession],
        spawn: Callable[[Awaitable[None]], object],
    ) -> None:
        self._clock = clock
        self._timeline = timeline
        self._stats = stats
        self._options = options
        self._session = session
        self._spawn = spawn

    @staticmethod
    def wanted(task: Task) -> bool:
        return task.order.endpoint.startswith(("http://", "https://")) and not task.has("callback_lost")

    async def send(self, task: Task, data: dict[str, Any]) -> None:
        """First attempts of this event; repeats are put on the timeline."""
        body = json.dumps({"timestamp": int(self._clock.now()), "data": data}).encode()
        for _ in range(2 if task.has("callback_double") else 1):
            await self._try(task, body, attempt=1)

    async def send_early(self, task: Task, data: dict[str, Any]) -> None:
        """Arrives while the create waits for its answer; a slow receiver delays that only briefly."""
        body = json.dumps({"timestamp": int(self._clock.now()), "data": data}).encode()
        try:
            await asyncio.wait_for(self._try(task, body, attempt=1), EARLY_TIMEOUT)
        except TimeoutError:
            logger.warning("callback.early_unanswered task_id=%s", task.task_id)

    async def _try(self, task: Task, body: bytes, *, attempt: int) -> None:
        options = self._options()
        if await self._post(task, body, timeout=options.callback_timeout):
            task.callbacks += 1
            self._stats.counts["callbacks_delivered"] += 1
            return
        self._stats.counts["callbacks_refused"] += 1
        if attempt >= options.callback_attempts:
            self._stats.counts["callbacks_given_up"] += 1
            return
        self._timeline.at(
            self._clock.now() + options.callback_interval,
            lambda: self._spawn(self._try(task, body, attempt=attempt + 1)),
        )

    async def _post(self, task: Task, body: bytes, *, timeout: float) -> bool:  # noqa: ASYNC109 - handed to aiohttp
        headers = {"Content-Type": "application/json"}
        if task.order.secret:
            headers["x-webhook-secret"] = task.order.secret
        try:
            async with self._session().post(
                task.order.endpoint,
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(timeout),
                allow_redirects=False,
            ) as answer:
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            logger.info("callback.unreachable task_id=%s error=%s", task.task_id, type(exc).__name__)
            return False
