"""Small real processes for a supervisor to run, and the supervisor as its tests make it."""

import asyncio
import os
import signal
import sys

import pytest

from cli.local.supervisor import Service, Supervisor
from edits.retry import Backoff

SLEEPS = "import time; time.sleep(60)"
# Tells its pid and that of a child of its own, and takes no SIGTERM, as a hung program would.
STUBBORN = """
import os, pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid}")
time.sleep(60)
"""
# Writes its name when it is asked to end.
TELLS = """
import pathlib, signal, sys, time
def end(*_):
    with open(sys.argv[2], "a") as file:
        file.write(sys.argv[1] + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[2] + "." + sys.argv[1]).touch()
time.sleep(60)
"""
QUICK = Backoff(first=0.05, factor=2, most=0.2)


async def at_once():
    return True


async def never():
    return False


def once(path):
    async def there():
        return path.exists()

    return there


def part(name, code, *arguments, order=0, ready=at_once, start_within=90.0, well=None):
    return Service(
        name=name,
        command=(sys.executable, "-c", code, *(str(argument) for argument in arguments)),
        environment=dict(os.environ),
        ready=ready,
        order=order,
        start_within=start_within,
        well=well,
    )


class Said(list):
    def __call__(self, line):
        self.append(line)

    def count_of(self, words):
        return sum(words in line for line in self)


def supervisor(tmp_path, *parts, said=None, grace=60.0):
    return Supervisor(
        parts,
        logs=tmp_path / "logs",
        say=said if said is not None else Said(),
        grace=grace,
        backoff=QUICK,
        stall_limit=0.3,
    )


def kill_all(watched):
    for pid in watched.pids().values():
        os.kill(pid, signal.SIGKILL)


async def until(true, what):
    """Waits for a state without holding the loop up."""
    for _ in range(4500):  # 90 s
        if true():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"not within 90 s: {what}")
