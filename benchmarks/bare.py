"""The bare baseline: aiohttp on uvloop creates, polls, downloads, hashes and writes. It imports nothing of the product.

No queue, no records, no limits, no checks: it shows what the calls themselves cost. Its order is JSON on stdin.
"""

import asyncio
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import uvloop


async def edit(http: aiohttp.ClientSession, order: dict[str, Any], name: str) -> None:
    url = order["url"]
    async with http.post(f"{url}/api/v1/task", data=order["body"]) as response:
        task = json.loads(await response.read())["data"]
    while task["status"] != "completed":
        await asyncio.sleep(order["gap"])
        async with http.get(f"{url}/api/v1/task/{task['task_id']}") as response:
            task = json.loads(await response.read())["data"]
    async with http.get(task["output"]["image_url"]) as response:
        picture = await response.read()
    folder = Path(order["folder"])
    (folder / f"{name}.png").write_bytes(picture)
    (folder / f"{name}.sha256").write_text(hashlib.sha256(picture).hexdigest())


async def evenly(http: aiohttp.ClientSession, order: dict[str, Any], names: list[str]) -> None:
    loop = asyncio.get_running_loop()
    began, running = loop.time(), []
    for i, name in enumerate(names):
        await asyncio.sleep(began + i / order["rate"] - loop.time())
        running.append(asyncio.create_task(edit(http, order, name)))
    await asyncio.gather(*running)


async def run(order: dict[str, Any]) -> float:
    """Seconds of CPU that the edits took after the warm-up."""
    async with aiohttp.ClientSession(headers={"X-API-Key": "bench", "Content-Type": "application/json"}) as http:
        await evenly(http, order, order["ids"][: order["warm"]])
        before = time.process_time()
        await evenly(http, order, order["ids"][order["warm"] :])
        return time.process_time() - before


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps({"cpu": runner.run(run(json.loads(sys.stdin.read())))}))
