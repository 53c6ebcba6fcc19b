"""A caller of the sandbox, and a small web server that gives input pictures and takes callbacks."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from aiohttp import web
from PIL import Image

from tests.parts.sandbox import Sandbox


def picture(size: tuple[int, int] = (48, 32), colour: str = "#3a7ad0", kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind, **options)
    return out.getvalue()


def data_uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


IMAGE = data_uri(picture())


def order(prompt: str = "make it warmer", *, hook: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": "Qubico/flux1-dev-advanced",
        "task_type": "kontext",
        "input": {"prompt": prompt, "image": IMAGE, "seed": 7, **fields},
    }
    if hook is not None:
        body["config"] = {"webhook_config": hook}
    return body


class Caller:
    """The provider's API as a client sees it: answers as they come, nothing interpreted."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def create(self, prompt: str = "make it warmer", **fields: Any) -> httpx.Response:
        return await self.http.post("/api/v1/task", json=order(prompt, **fields))

    async def bought(self, prompt: str = "make it warmer", **fields: Any) -> str:
        answer = await self.create(prompt, **fields)
        assert answer.status_code == 200, answer.text
        task_id: str = answer.json()["data"]["task_id"]
        return task_id

    async def read(self, task_id: str) -> httpx.Response:
        return await self.http.get(f"/api/v1/task/{task_id}")

    async def shown(self, task_id: str, *statuses: str) -> dict[str, Any]:
        """`data` as soon as the task has one of these statuses (ended, if none is named)."""
        wanted = statuses or ("completed", "failed")
        for _ in range(9000):
            data: dict[str, Any] = (await self.read(task_id)).json()["data"]
            if data["status"].lower() in wanted:
                return data
            await asyncio.sleep(0.01)
        raise AssertionError(f"{task_id} never became {wanted}: {data}")

    async def result(self, task_id: str) -> httpx.Response:
        """The result file, asked for without the key as a browser would."""
        address = (await self.shown(task_id, "completed"))["output"]["image_url"]
        async with httpx.AsyncClient(timeout=90, trust_env=False) as stranger:
            return await stranger.get(address)


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[Caller]:
    headers = {"X-API-Key": sandbox.api_key}
    async with httpx.AsyncClient(base_url=sandbox.base_url, headers=headers, timeout=90, trust_env=False) as http:
        yield Caller(http)


@dataclass
class Web:
    """Serves `files` by path and keeps every callback; `answers` are the statuses it gives to callbacks, then 200."""

    address: str = ""
    files: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    on_callback: Callable[[dict[str, Any]], None] | None = None

    async def give(self, request: web.Request) -> web.Response:
        status, content = self.files.get(request.path, (404, b""))
        return web.Response(status=status, body=content)

    async def take(self, request: web.Request) -> web.Response:
        self.callbacks.append(json.loads(await request.read()))
        self.secrets.append(request.headers.get("x-webhook-secret"))
        self.paths.append(request.path)
        if self.on_callback:
            self.on_callback(self.callbacks[-1])
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    def told(self) -> list[str]:
        return [call["data"]["status"] for call in self.callbacks]

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(9000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"never so; told: {self.told()}")


@pytest.fixture
async def site() -> AsyncIterator[Web]:
    served = Web()
    app = web.Application()
    app.router.add_get("/{path:.*}", served.give)
    app.router.add_post("/{path:.*}", served.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0)
    await place.start()
    host, port = runner.addresses[0][:2]
    served.address = f"http://{host}:{port}"
    yield served
    await runner.cleanup()
