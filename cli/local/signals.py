"""Signals of a program that runs services: the first one stops them gracefully, the second one kills them."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from cli.local.supervisor import Supervisor

INTERRUPTED = 130  # exit code after Ctrl-C
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # HUP: the terminal was closed


class Caught:
    """Which signal came first, if any."""

    first: int | None = None


@contextmanager
def caught_for(supervisor: Supervisor) -> Iterator[Caught]:
    """Inside, a signal cancels the current task; while the services are ending, it kills them."""
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


async def run_until_signal(supervisor: Supervisor, ready: AbstractContextManager[None]) -> int:
    """Runs the services, inside `ready` once all of them are, until a signal comes. Returns the exit code."""
    with caught_for(supervisor) as caught:
        try:
            async with supervisor:
                with ready:
                    await asyncio.Event().wait()
        except asyncio.CancelledError:
            if caught.first is None:
                raise
    return INTERRUPTED if caught.first == signal.SIGINT else 0
