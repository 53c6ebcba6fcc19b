"""Accepted tasks on disk, a JSON line each, written before the answer leaves: a killed sandbox forgets no purchase."""

from contextlib import suppress
from pathlib import Path

from qubico.sandbox.tasks import Task


class Journal:
    """Does nothing without a folder. A kill may cut the last line, so each line begins with its line feed."""

    def __init__(self, folder: str | None) -> None:
        self._file = None
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._file = (Path(folder) / "tasks.jsonl").open("a+", encoding="utf-8")

    def read(self) -> list[Task]:
        """All tasks in their order, each as it was last written; a cut line was never answered and is left out."""
        found: dict[str, Task] = {}
        if self._file:
            self._file.seek(0)
            for line in self._file:
                with suppress(ValueError):
                    task = Task.model_validate_json(line)
                    found[task.task_id] = task
        return list(found.values())

    def write(self, task: Task) -> None:
        if self._file:
            self._file.write(f"\n{task.model_dump_json()}")
            self._file.flush()

    def close(self, *, forget: bool = False) -> None:
        if self._file:
            self._file.close()
            if forget:
                Path(self._file.name).unlink(missing_ok=True)
