"""taskiq's way: an asyncio job a read, each put off by its scheduler, over the product's own client and storage.

As its pages advise: a list as queue without acknowledgements, the list of schedules in Redis, no result backend, many
jobs at once in one process, uvloop. The scheduler is a process of its own, whose CPU counts too.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from taskiq import TaskiqEvents, TaskiqScheduler
from taskiq_redis import ListQueueBroker, ListRedisScheduleSource

from benchmarks.floor import Floor
from edits.storage.links import Links
from edits.storage.store import open_storage
from qubico.client import QubicoClient
from qubico.schemas import KontextRequest, TaskStatus

URL: Final = os.environ.get("BENCH_URL", "http://127.0.0.1:1")
FOLDER: Final = Path(os.environ.get("BENCH_FOLDER", "."))
GAP: Final = timedelta(seconds=float(os.environ.get("BENCH_GAP", "1")))
REDIS: Final = os.environ.get("BENCH_BROKER", "redis://127.0.0.1/0")

broker: Any = ListQueueBroker(REDIS)
source: Any = ListRedisScheduleSource(REDIS)
scheduler: Any = TaskiqScheduler(broker, [source])


async def submit(edit_id: str, asked: dict[str, Any]) -> None:
    task = await broker.state.floor.client.create(KontextRequest(**asked))
    await POLL.schedule_by_time(source, datetime.now(UTC) + GAP, edit_id, task.task_id)


async def poll(edit_id: str, task_id: str) -> None:
    task = await broker.state.floor.client.get(task_id)
    if task.status is TaskStatus.COMPLETED:
        await STORE.kiq(edit_id, task_id, task.image_url)
    else:
        await POLL.schedule_by_time(source, datetime.now(UTC) + GAP, edit_id, task_id)


async def store(edit_id: str, task_id: str, address: str) -> None:
    await broker.state.floor.keep(edit_id, task_id, address)


SUBMIT: Final = broker.register_task(submit, task_name="submit")
POLL: Final = broker.register_task(poll, task_name="poll")
STORE: Final = broker.register_task(store, task_name="store")


async def _begin(state: Any) -> None:
    host = URL.rpartition("/")[2]
    client = await QubicoClient(base_url=URL, api_key="bench", result_hosts=[host]).__aenter__()
    storage = open_storage(f"file://{FOLDER}/objects", links=Links("0" * 32), public_url=URL)
    state.floor = Floor(client, storage, GAP.total_seconds())
    (FOLDER / "ready").touch()


async def _end(state: Any) -> None:
    await state.floor.client.__aexit__(None, None, None)


broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, _begin)
broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, _end)
