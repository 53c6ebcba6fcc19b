"""Where pictures are loaded and painted, in two threads. A picture that the shelf dropped is painted again."""

import asyncio
import base64
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import aiohttp

from qubico.sandbox.shelf import Shelf
from qubico.sandbox.studio import painter
from qubico.sandbox.studio.painter import BadPicture
from qubico.sandbox.tasks import Failure, Task

logger = logging.getLogger(__name__)
MAX_INPUT_BYTES = 20 * 1024 * 1024
FETCH_TIMEOUT = 20.0
THREADS = 2


class Studio:
    def __init__(self, session: aiohttp.ClientSession, shelf: Shelf) -> None:
        self._session = session
        self._shelf = shelf
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sandbox-painter")

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
            return painter.plain(size_bytes=task.plain_bytes, mark=task.task_id)
        picture = self._shelf.get(task.file_name)
        if picture is None:
            picture = await self._paint(task)
            self._shelf.put(task.file_name, picture)
        return picture

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

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
        return await asyncio.get_running_loop().run_in_executor(self._threads, paint)

    async def _load(self, image: str) -> bytes:
        if image.startswith(("http://", "https://")):
            return await self._fetch(image)
        data = image.partition(",")[2] if image.startswith("data:") else image
        try:
            return base64.b64decode(data, validate=True)
        except ValueError as exc:
            raise BadPicture("decode input image: illegal base64 data") from exc

    async def _fetch(self, address: str) -> bytes:
        try:
            async with self._session.get(address, timeout=aiohttp.ClientTimeout(FETCH_TIMEOUT)) as answer:
                if answer.status != 200:
                    raise BadPicture(f"download input image: unexpected status {answer.status}")
                picture = bytearray()
                async for part in answer.content.iter_chunked(65_536):
                    picture += part
                    if len(picture) > MAX_INPUT_BYTES:
                        raise BadPicture(f"download input image: larger than {MAX_INPUT_BYTES} bytes")
                return bytes(picture)
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            raise BadPicture(f"download input image: {type(exc).__name__}") from exc
