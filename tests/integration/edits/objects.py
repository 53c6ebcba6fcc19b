"""Objects for the storage tests."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random

from edits.storage.links import Links
from edits.storage.store import Storage

LINKS = Links("a secret of at least thirty-two bytes")
KEY = "edits/2026/11/22/edit_01KAPQ0Q5XMM1DZVQJ2M4E6T9C/result.png"
PNG = "image/png"
SMALL = Random(1).randbytes(300_000)
LARGE = Random(2).randbytes(12_000_000)
"""Three parts."""


def open_at(url: str, *, patience: float = 15) -> Storage:
    return Storage(url, links=LINKS, public_url="http://127.0.0.1:8000/", patience=timedelta(seconds=patience))


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def everything(storage: Storage, prefix: str = "edits") -> dict[str, int]:
    return {info.key: info.size async for info in storage.list(prefix)}


def files_below(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file()]
