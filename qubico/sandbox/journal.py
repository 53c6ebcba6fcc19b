"""Accepted tasks on disk, a JSON line each, written before the answer leaves: a killed sandbox forgets no purchase."""

import dataclasses
import json
from pathlib import Path
from typing import Any, TextIO

from qubico.sandbox.intake import Order
from qubico.sandbox.tasks import Failure, Task


class Journal:
    """Does nothing without a folder."""

    def __init__(self, folder: str | None) -> None:
        self._file: TextIO | None = None
        self._path = Path(folder) / "tasks.jsonl" if folder else None
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[Task]:
        """All tasks of earlier runs, in their order; a line cut off by a kill was never answered and is left out."""
        found: dict[str, Task] = {}
        if self._path is None or not self._path.exists():
            return []
        for line in self._path.read_text("utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if "order" in row:
                task = _task(row)
                found[task.task_id] = task
            elif row["task_id"] in found:
                task = found[row["task_id"]]
                task.ended, task.worked, task.failure = row["ended"], True, _failure(row["failure"])
        return list(found.values())

    def accepted(self, task: Task) -> None:
        if self._path:
            self._write({**dataclasses.asdict(task), "order": task.order.model_dump()})

    def finished(self, task: Task) -> None:
        if self._path:
            failure = dataclasses.asdict(task.failure) if task.failure else None
            self._write({"task_id": task.task_id, "ended": task.ended, "failure": failure})

    def forget(self) -> None:
        self.close()
        if self._path:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _write(self, row: dict[str, Any]) -> None:
        if self._path is None:
            return
        if self._file is None:
            self._file = self._path.open("a", encoding="utf-8")
            self._file.write("\n" if self._cut() else "")
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def _cut(self) -> bool:
        """A kill may have left half a line, which the next one must not be glued to."""
        text = self._path.read_bytes() if self._path else b""
        return bool(text) and not text.endswith(b"\n")


def _task(row: dict[str, Any]) -> Task:
    return Task(**{**row, "order": Order.model_validate(row["order"]), "failure": _failure(row["failure"])})


def _failure(row: dict[str, Any] | None) -> Failure | None:
    return Failure(**row) if row else None
