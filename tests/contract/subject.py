"""A provider to hold the contract suite against: recorded answers, the sandbox, or the real service."""

import asyncio
import base64
import io
import time
from dataclasses import dataclass

from PIL import Image

from qubico.client import QubicoClient
from qubico.schemas import KontextRequest, Task
from tests.contract.live import Live, Paid, Purse


def picture(side: int = 96) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(file, "PNG")
    return file.getvalue()


@dataclass
class Subject:
    """Where it is, a picture it can fetch, and how long to wait for it."""

    base_url: str
    api_key: str
    result_hosts: list[str]
    image: str
    purse: Purse | None = None  # of the real service
    pause: float = 0.02  # seconds between two looks at a task
    patience: float = 90.0

    def client(self, *, api_key: str | None = None) -> QubicoClient:
        return QubicoClient(
            base_url=self.base_url,
            api_key=api_key or self.api_key,
            result_hosts=self.result_hosts,
            transport=Paid(self.purse) if self.purse else None,
            create_timeout=30 if self.purse else 60,
            read_timeout=30 if self.purse else 60,
        )

    async def bought(self, client: QubicoClient, prompt: str = "make it black and white") -> Task:
        task = await client.create(self.request(prompt))
        if self.purse:
            self.purse.charged(task.quote)
        return task

    async def ended(self, client: QubicoClient, task_id: str) -> Task:
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            task = await client.get(task_id)
            if task.is_final:
                return task
            await asyncio.sleep(self.pause)
        raise AssertionError(f"task {task_id} did not end: {task!r}")

    def request(self, prompt: str = "make it black and white") -> KontextRequest:
        return KontextRequest(
            prompt=prompt, image=self.image, width=128, height=128, steps=10, seed=7,
            webhook_endpoint="", webhook_secret="retouch.edit_01J9Z.1.signed",
        )  # fmt: skip


def as_data_uri(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def at(live: Live, purse: Purse) -> Subject:
    """The real service. Pictures are sent inside the request unless one on the internet is named."""
    hosts = ["img.theapi.app", "storage.theapi.app", *([live.host] if live.on_this_machine else [])]
    image = live.image or as_data_uri(picture(256))
    return Subject(live.url, live.key, hosts, image, purse, pause=live.pause, patience=live.patience)
