"""Files in memory, result pictures and uploads, up to a total size: beyond it the oldest are dropped."""

import math
from collections import OrderedDict
from dataclasses import dataclass, field

KEPT_BYTES = 256 * 1024 * 1024
CONTENT_TYPES = {
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp",
    "mp4": "video/mp4", "wav": "audio/wav", "mp3": "audio/mpeg",
}  # fmt: skip


@dataclass(slots=True)
class Shelf:
    _files: OrderedDict[str, tuple[bytes, float]] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def put(self, name: str, content: bytes, *, until: float = math.inf) -> None:
        self._bytes += len(content) - len(self.get(name) or b"")
        self._files[name] = (content, until)
        while self._bytes > KEPT_BYTES:
            _, (dropped, _) = self._files.popitem(last=False)
            self._bytes -= len(dropped)

    def get(self, name: str, *, now: float = 0.0) -> bytes | None:
        content, until = self._files.get(name, (None, 0.0))
        return content if now <= until else None
