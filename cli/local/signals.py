"""Signals of a program that keeps parts: the first one begins a graceful end, the second one hurries it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from cli.local.supervisor import Supervisor

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # HUP: the terminal was closed


class Caught:
    """Which signal came first, if any."""

    first: int | None = None

    @property
    def interrupted(self) -> bool:
        return self.first == signal.SIGINT


@contextmanager
def caught_for(supervisor: Supervisor) -> Iterator[Caught]:
    """Inside, a signal cancels the current task, unless the parts are ending already: then they are killed."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    caught = Caught()

    def catch(number: int) -> None:
        again = caught.first is not None
        caught.first = caught.first or number
        if supervisor.ending:
            if again:
                supervisor.hurry()
        elif task is not None and not again:
            task.cancel()

    for number in ENDING:
        loop.add_signal_handler(number, catch, number)
    try:
        yield caught
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)
