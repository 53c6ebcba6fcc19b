"""The tutorial's way: a Celery task a poll with `self.retry(countdown)`, tuned as its own pages advise.

One client with kept-alive connections a process, no results, no events, no gossip, one message fetched at a time on
prefork and many on threads (a countdown is held in the worker's memory). Killed, it loses what it held.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
from celery import Celery, Task, signals

URL: Final = os.environ.get("BENCH_URL", "")
FOLDER: Final = Path(os.environ.get("BENCH_FOLDER", "."))
GAP: Final = float(os.environ.get("BENCH_GAP", "1"))
ENOUGH: Final = 10_000  # retries; the stand-in ends each task long before

app = Celery("tutorial", broker=os.environ.get("BENCH_BROKER", "redis://127.0.0.1/0"))
app.conf.update(
    task_ignore_result=True,
    result_backend=None,
    worker_prefetch_multiplier=4,
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    broker_pool_limit=None,
    worker_hijack_root_logger=False,
)


@cache
def client() -> httpx.Client:
    """Made in each process by its first task."""
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    return httpx.Client(base_url=URL, headers={"X-API-Key": "bench"}, limits=limits, timeout=20, trust_env=False)


@app.task
def submit(edit_id: str, body: dict[str, Any]) -> None:
    answer = client().post("/api/v1/task", json=body).raise_for_status()
    poll.apply_async((edit_id, answer.json()["data"]["task_id"]), countdown=GAP)


@app.task(bind=True, max_retries=ENOUGH)
def poll(self: "Task[..., None]", edit_id: str, task_id: str) -> None:
    data = client().get(f"/api/v1/task/{task_id}").raise_for_status().json()["data"]
    if data["status"] != "completed":
        raise self.retry(countdown=GAP)
    store.delay(edit_id, data["output"]["image_url"])


@app.task
def store(edit_id: str, address: str) -> None:
    part = FOLDER / f"{edit_id}.part"
    with client().stream("GET", address) as answer, part.open("wb") as file:
        for chunk in answer.raise_for_status().iter_bytes():
            file.write(chunk)
    part.rename(FOLDER / f"{edit_id}.png")


@signals.worker_ready.connect
def _ready(**_: Any) -> None:
    (FOLDER / "ready").touch()
