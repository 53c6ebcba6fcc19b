"""What processes have used of the machine."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Used:
    """What the parts have used since they were started: seconds of CPU, by the part's name without its number."""

    cpu: Mapping[str, float]
    commands: int  # of Redis

    def since(self, before: "Used") -> "Used":
        cpu = {name: spent - before.cpu.get(name, 0.0) for name, spent in self.cpu.items()}
        return Used(cpu, self.commands - before.commands)


def used_by(pid: int) -> tuple[float, int]:
    """Seconds of CPU and resident bytes of a process and of all below it, the ended ones included."""
    spent, resident = 0.0, 0
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        for process in [first, *first.children(recursive=True)]:
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
            resident += process.memory_info().rss
    return spent, resident


@dataclass(frozen=True, slots=True)
class Running:
    """Of a thread: seconds on a core, and seconds ready to run while others had the cores."""

    ran: float = 0.0
    waited: float = 0.0

    def since(self, before: "Running") -> "Running":
        return Running(self.ran - before.ran, self.waited - before.waited)


def threads_of(pid: int) -> dict[str, Running]:
    """By their ids; of Linux, else none."""
    return {path.parent.name: _schedstat(path) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")}


def busiest(before: Mapping[str, Running], after: Mapping[str, Running]) -> Running:
    """Of all threads the one that ran the longest in between."""
    passed = [running.since(before.get(thread, Running())) for thread, running in after.items()]
    return max(passed, key=lambda running: running.ran, default=Running())


def _schedstat(path: Path) -> Running:
    try:
        ran, waited, _ = path.read_text().split()
    except (OSError, ValueError):  # it has ended
        return Running()
    return Running(int(ran) / 1e9, int(waited) / 1e9)
