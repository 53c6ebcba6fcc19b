"""More `retouch worker` processes beside an `up`, restarted at once, as systemd would."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts.stack import PROGRAM, RunningStack


class Workers:
    """`up` restarts a failing service ever more slowly; these processes are restarted without delay."""

    def __init__(self, stack: RunningStack, count: int) -> None:
        self._stack = stack
        self._processes = [self._start() for _ in range(count)]

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes if process.poll() is None]

    def kill(self, pid: int) -> None:
        """Kills the process and starts another."""
        for place, process in enumerate(self._processes):
            if process.pid == pid:
                process.kill()
                process.wait()
                self._processes[place] = self._start()

    def keep(self) -> None:
        """Restarts processes that have exited."""
        for place, process in enumerate(self._processes):
            if process.poll() is not None:
                self._processes[place] = self._start()

    def join(self, stack: RunningStack) -> None:
        """Restarts all with the settings of the restarted `up`."""
        self.end()
        self.__init__(stack, len(self._processes))

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        return start(self._stack)


def start(stack: RunningStack, *options: str, folder: Path | None = None, **environ: str) -> "subprocess.Popen[bytes]":
    """One `retouch worker` with the settings of the `up`."""
    with (stack.folder / "workers.log").open("ab") as log:
        return subprocess.Popen(
            [*PROGRAM, "worker", *options], cwd=folder or stack.folder, env=stack.environ | stack.made | environ,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


@contextmanager
def beside(stack: RunningStack, count: int) -> Iterator[Workers]:
    workers = Workers(stack, count)
    try:
        yield workers
    finally:
        workers.end()
