"""Where pictures are loaded and painted, in two threads. Beyond a cap they are dropped and painted again."""

import asyncio
import base64
import binascii
import logging
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import aiohttp

from qubico.sandbox.studio import painter
from qubico.sandbox.tasks import Failure, Task

logger = logging.getLogger(__name__)
MAX_INPUT_BYTES = 20 * 1024 * 1024
FETCH_TIMEOUT = 20.0
KEPT_BYTES = 256 * 1024 * 1024
THREADS = 2


class NoPicture(Exception):
    """The input cannot be loaded."""


class Studio:
    def __init__(self, *, plain_bytes: int) -> None:
        self.plain_bytes = plain_bytes
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sandbox-painter")
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._session: aiohttp.ClientSession | None = None

    async def work(self, task: Task) -> Failure | None:
        """Paints a task's result, or records why it cannot; the task ends in any case."""
        try:
            await self.picture(task)
        except (NoPicture, painter.BadPicture) as exc:
            return Failure(str(exc), "worker: failed to fetch image")
        except Exception as exc:
            logger.exception("task.panicked task_id=%s", task.task_id)
            return Failure(f"worker: panic: {type(exc).__name__}", "")
        return None

    async def picture(self, task: Task) -> bytes:
        if task.paint == "plain":
            return painter.plain(size_bytes=self.plain_bytes, mark=task.task_id)
        kept = self._kept.get(task.file_id)
        if kept is None:
            kept = await self._paint(task)
            self._keep(task.file_id, kept)
        return kept

    def session(self) -> aiohttp.ClientSession:
        """The one HTTP client, for inputs and callbacks; it belongs to the running loop, so it is made late."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=64), headers={"User-Agent": "Qubico-Sandbox"}
            )
        return self._session

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._session:
            await self._session.close()
            self._session = None

    async def _paint(self, task: Task) -> bytes:
        source = await self._load(task.order.image)
        return await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: painter.paint(
                source,
                prompt=task.order.prompt,
                size=(task.order.width, task.order.height),
                seed=task.order.seed,
                small=task.paint == "small",
                file_type=task.result_type,
            ),
        )

    def _keep(self, name: str, picture: bytes) -> None:
        self._kept_bytes += len(picture) - len(self._kept.get(name, b""))
        self._kept[name] = picture
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)

    async def _load(self, image: str) -> bytes:
        if image.startswith(("http://", "https://")):
            return await self._fetch(image)
        data = image.partition(",")[2] if image.startswith("data:") else image
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise NoPicture("decode input image: illegal base64 data") from exc

    async def _fetch(self, address: str) -> bytes:
        try:
            async with self.session().get(address, timeout=aiohttp.ClientTimeout(FETCH_TIMEOUT)) as answer:
                if answer.status != 200:
                    raise NoPicture(f"download input image: unexpected status {answer.status}")
                picture = bytearray()
                async for part in answer.content.iter_chunked(65_536):
                    picture += part
                    if len(picture) > MAX_INPUT_BYTES:
                        raise NoPicture(f"download input image: larger than {MAX_INPUT_BYTES} bytes")
                return bytes(picture)
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            raise NoPicture(f"download input image: {type(exc).__name__}") from exc
