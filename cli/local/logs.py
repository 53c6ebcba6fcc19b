"""Log files of services: limited in size, and followed for warnings and errors.

Services write to their files themselves, so no line is lost when the supervisor dies.
"""

import json
import shutil
from collections import deque
from pathlib import Path
from typing import IO, Any

LOG_LIMIT = 10 * 1024 * 1024  # bytes after which a log is moved to `.log.1`
WORTH_SEEING = frozenset({"warning", "error", "critical"})


class ServiceLog:
    def __init__(self, path: Path, *, limit: int = LOG_LIMIT) -> None:
        self.path = path
        self._limit = limit
        self._seen = path.stat().st_size if path.exists() else 0

    def open(self) -> IO[bytes]:
        """Opens the file for the service to append to."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.path.open("ab")

    def tail(self, lines: int = 10) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open(errors="replace") as log:
            return [line.rstrip() for line in deque(log, maxlen=lines)]

    def news(self) -> list[str]:
        """Warnings and errors since the last call, from structured lines only."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as log:
            log.seek(self._seen)
            fresh = log.read(self._limit)
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._seen += len(whole)
        return [found for line in whole.splitlines() if (found := _warning(line)) is not None]

    def bound(self) -> None:
        """Copies a log over its limit to `.log.1` and empties it; its writer appends and continues."""
        if self.path.exists() and self.path.stat().st_size > self._limit:
            shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
            with self.path.open("r+b") as log:
                log.truncate(0)
            self._seen = 0


def _warning(line: bytes) -> str | None:
    try:
        said: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, dict) or said.get("level") not in WORTH_SEEING:
        return None
    extra = " ".join(f"{key}={value}" for key, value in said.items() if key in {"edit_id", "step", "error", "reason"})
    return f"{said['level']}: {said.get('event', '')} {extra}".rstrip()
