"""Signals of a program that runs services: the first one stops them gracefully, the second one kills them."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from cli.local.supervisor import Supervisor

INTERRUPTED = 130  # exit code after Ctrl-C
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # HUP: the terminal was closed


async def run(supervisor: Supervisor, work: Callable[[], Awaitable[None]]) -> int | None:
    """Runs the services and, once all of them are ready, `work`. Returns the signal that ended it, if one did."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    first: int | None = None

    def catch(number: int) -> None:
        nonlocal first
        if first is None:
            first = number
            if task is not None and not supervisor.ending:
                task.cancel()
        elif supervisor.ending:
            supervisor.hurry()

    for number in ENDING:
        loop.add_signal_handler(number, catch, number)
    try:
        async with supervisor:
            await work()
    except asyncio.CancelledError:
        if first is None:
            raise
        return first
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)
    return None
