"""Where pictures are loaded and painted, in two threads. A picture that the shelf dropped is painted again."""

import asyncio
import base64
import logging
from functools import partial

from qubico.sandbox.outgoing import Outgoing
from qubico.sandbox.shelf import Shelf
from qubico.sandbox.studio import painter
from qubico.sandbox.tasks import BadPicture, Failure, Task

logger = logging.getLogger(__name__)
THREADS = 2


class Studio:
    def __init__(self, outgoing: Outgoing, shelf: Shelf) -> None:
        self._outgoing = outgoing
        self._shelf = shelf
        self._threads = asyncio.Semaphore(THREADS)

    async def work(self, task: Task) -> Failure | None:
        """Paints a task's result, or records why it cannot; the task ends in any case."""
        try:
            await self.picture(task)
        except BadPicture as exc:
            return Failure(str(exc), "worker: failed to fetch image")
        except Exception as exc:
            logger.exception("task.panicked task_id=%s", task.task_id)
            return Failure(f"worker: panic: {type(exc).__name__}", "")
        return None

    async def picture(self, task: Task) -> bytes:
        """Raises: BadPicture."""
        if task.paint == "plain":
            return painter.plain(mark=task.task_id)
        picture = self._shelf.get(task.file_name)
        if picture is None:
            picture = await self._paint(task)
            self._shelf.put(task.file_name, picture)
        return picture

    async def _paint(self, task: Task) -> bytes:
        asked = task.order.input
        paint = partial(
            painter.paint,
            await self._load(asked["image"]),
            prompt=asked["prompt"],
            size=(asked["width"], asked["height"]),
            seed=asked["seed"],
            small=task.paint == "small",
            file_type=task.result_type,
        )
        async with self._threads:
            return await asyncio.to_thread(paint)

    async def _load(self, image: str) -> bytes:
        if image.startswith(("http://", "https://")):
            return await self._outgoing.picture(image)
        data = image.partition(",")[2] if image.startswith("data:") else image
        try:
            return base64.b64decode(data, validate=True)
        except ValueError as exc:
            raise BadPicture("decode input image: illegal base64 data") from exc
