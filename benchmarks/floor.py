"""The floor: buys, polls and stores with the product's own client and storage, without queue, records or limits.

Beside `bare` it shows what the client costs, and beside the product what the rest costs. Its order is JSON on stdin.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from edits.storage.layout import manifest_key, result_key
from edits.storage.links import Links
from edits.storage.store import Storage
from qubico.client import QubicoClient
from qubico.schemas import KontextRequest, TaskStatus

MOST: Final = 20 * 1024 * 1024  # bytes of a picture


@dataclass(frozen=True, slots=True)
class Floor:
    client: QubicoClient
    storage: Storage
    order: dict[str, Any]

    async def edit(self, edit_id: str) -> None:
        task = await self.client.create(KontextRequest(**json.loads(self.order["body"])["input"]))
        while task.status is not TaskStatus.COMPLETED:
            await asyncio.sleep(self.order["gap"])
            task = await self.client.get(task.task_id)
        async with self.client.download(task.image_url or "", max_bytes=MOST) as chunks:
            stored = await self.storage.put_stream(
                result_key(edit_id, 1, "png"), chunks, content_type="image/png", max_bytes=MOST
            )
        manifest = json.dumps({"id": edit_id, "task": task.task_id, "sha256": stored.sha256, "bytes": stored.bytes})
        await self.storage.put(manifest_key(edit_id), manifest.encode(), content_type="application/json")

    async def evenly(self, ids: list[str]) -> None:
        loop = asyncio.get_running_loop()
        began, running = loop.time(), []
        for i, edit_id in enumerate(ids):
            await asyncio.sleep(began + i / self.order["rate"] - loop.time())
            running.append(asyncio.create_task(self.edit(edit_id)))
        await asyncio.gather(*running)


async def run(order: dict[str, Any]) -> float:
    """Seconds of CPU that the edits took after the warm-up."""
    storage = Storage(f"file://{order['folder']}", links=Links("0" * 32), public_url=order["url"])
    host = order["url"].rpartition("/")[2]
    async with QubicoClient(base_url=order["url"], api_key="bench", result_hosts=[host]) as client:
        floor = Floor(client, storage, order)
        await floor.evenly(order["ids"][: order["warm"]])
        before = time.process_time()
        await floor.evenly(order["ids"][order["warm"] :])
        return time.process_time() - before


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps({"cpu": runner.run(run(json.loads(sys.stdin.read())))}))
