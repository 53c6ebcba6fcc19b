"""The floor: a bare asyncio script that buys, reads and keeps pictures with the product's own client and storage.

No queue, no records, no limits: killed, it has lost everything. What it is to do comes as JSON on stdin.
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
from edits.storage.store import Storage, open_storage
from qubico.client import QubicoClient
from qubico.schemas import KontextRequest, TaskStatus

MOST: Final = 20 * 1024 * 1024  # bytes of a picture


@dataclass(frozen=True, slots=True)
class Floor:
    client: QubicoClient
    storage: Storage
    gap: float
    """Seconds between reads."""

    async def edit(self, edit_id: str, asked: dict[str, Any]) -> None:
        task = await self.client.create(KontextRequest(**asked))
        while task.status is not TaskStatus.COMPLETED:
            await asyncio.sleep(self.gap)
            task = await self.client.get(task.task_id)
        await self.keep(edit_id, task.task_id, task.image_url or "")

    async def keep(self, edit_id: str, task_id: str, address: str) -> None:
        async with self.client.download(address, max_bytes=MOST) as file:
            kept = await self.storage.put_stream(
                result_key(edit_id, 1, "png"), file.chunks, content_type="image/png", max_bytes=MOST
            )
        told = json.dumps({"id": edit_id, "task": task_id, "sha256": kept.sha256, "bytes": kept.bytes})
        await self.storage.put(manifest_key(edit_id), told.encode(), content_type="application/json")


async def run(told: dict[str, Any]) -> float:
    """Seconds of CPU that the edits took, those that warm it up not counted."""
    storage = open_storage(told["storage"], links=Links("0" * 32), public_url=told["url"])
    async with QubicoClient(base_url=told["url"], api_key="bench", result_hosts=told["hosts"]) as client:
        floor = Floor(client, storage, told["gap"])
        await _evenly(floor, told["ids"][: told["warm"]], told)
        before = time.process_time()
        await _evenly(floor, told["ids"][told["warm"] :], told)
        return time.process_time() - before


async def _evenly(floor: Floor, ids: list[str], told: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    began, running = loop.time(), []
    for i, edit_id in enumerate(ids):
        await asyncio.sleep(began + i / told["rate"] - loop.time())
        running.append(asyncio.create_task(floor.edit(edit_id, told["asked"])))
    await asyncio.gather(*running)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps({"cpu": runner.run(run(json.loads(sys.stdin.read())))}))
