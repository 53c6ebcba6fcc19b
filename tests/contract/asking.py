"""The real service asked in the open: answers as they come, nothing interpreted, so that they can be written down."""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from qubico.transport import USER_AGENT
from tests.contract.learned import Learned
from tests.contract.live import Live, Paid, Purse

HISTORY = "/api/open/tasks/histories"


@dataclass(frozen=True)
class Said:
    status: int
    headers: httpx.Headers
    text: str = field(repr=False)
    data: Any  # of the envelope; None where there is none
    message: str

    def __str__(self) -> str:
        kind = self.headers.get("content-type", "no type").partition(";")[0]
        if not self.text:
            return f"HTTP {self.status}, {kind}, empty"
        if not self.message:
            return f"HTTP {self.status}, {kind}: {self.text[:60]!r}" if self.data is None else f"HTTP {self.status}"
        data = "null" if self.data is None else type(self.data).__name__
        return f"HTTP {self.status}, {kind}, message {self.message[:200]!r}, data {data}"


class Asking:
    """Every answer is searched for what it says about limits."""

    def __init__(self, live: Live, purse: Purse, learned: Learned) -> None:
        self.live = live
        self.learned = learned
        self._purse = purse
        self._http = httpx.AsyncClient(
            base_url=live.url, transport=Paid(purse), timeout=60, headers={"User-Agent": USER_AGENT}, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str, *, key: str | None = None, **params: int | str) -> Said:
        """`key` other than the account's own; empty: none is sent."""
        sent = {"X-API-Key": self.live.key if key is None else key} if key != "" else {}
        return self._read(await self._http.get(path, params=params, headers=sent))

    async def create(self, image: str, *, prompt: str = "make it warmer", hook: str = "", **more: Any) -> Said:
        asked = {"prompt": prompt, "image": image, "seed": 7, "steps": 10, "width": 512, "height": 512} | more
        config = {"webhook_config": {"endpoint": hook, "secret": f"learn-{uuid.uuid4().hex}"}}
        body = {
            "model": "Qubico/flux1-dev-advanced",
            "task_type": "kontext",
            "input": {name: value for name, value in asked.items() if value is not None},
            "config": config,
        }
        said = self._read(await self._http.post("/api/v1/task", json=body, headers={"X-API-Key": self.live.key}))
        self._purse.charged(quoted(said))
        return said

    async def ended(self, created: Said) -> dict[str, Any]:
        """`data` of the task at its end, or as it last was."""
        until = time.monotonic() + self.live.patience
        shown: dict[str, Any] = created.data
        while str(shown.get("status", "")).casefold() not in {"completed", "failed"} and time.monotonic() < until:
            await asyncio.sleep(self.live.pause)
            read = await self.get(f"/api/v1/task/{shown['task_id']}")
            shown = read.data if isinstance(read.data, dict) else shown
        return shown

    async def row(self, task_id: str) -> tuple[float, dict[str, Any]] | None:
        """Seconds until the history lists it, and how."""
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < self.live.patience:
            said = await self.get(HISTORY, page=1, page_size=20, model="flux")
            rows = said.data.get("data") or [] if isinstance(said.data, dict) else []
            found = [row for row in rows if row.get("task_id") == task_id]
            if found:
                return waited, found[0]
            await asyncio.sleep(self.live.pause)
        return None

    def _read(self, answer: httpx.Response) -> Said:
        try:
            body = json.loads(answer.text)
        except ValueError:
            body = None
        envelope = body if isinstance(body, dict) else {}
        said = Said(
            answer.status_code, answer.headers, answer.text, envelope.get("data"), str(envelope.get("message") or "")
        )
        limits = sorted(name for name in answer.headers if "ratelimit" in name.lower() or name.lower() == "retry-after")
        if limits or said.status == 429:
            shown = ", ".join(f"{name}: {answer.headers[name]}" for name in limits) or "no header about it"
            self.learned.note(9, f"HTTP {said.status} came with {shown}.")
        return said


def accepted(said: Said) -> bool:
    return isinstance(said.data, dict) and bool(said.data.get("task_id"))


def quoted(said: Said) -> int | None:
    """Units, by either generation of `meta.usage`."""
    if not accepted(said):
        return None
    usage = (said.data.get("meta") or {}).get("usage") or {}
    return max((units for name in ("frozen", "consume") if isinstance(units := usage.get(name), int)), default=None)
