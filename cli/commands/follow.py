"""Follows an edit to its end, with progress on stderr: a status line at a terminal, else one line per change."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cli import output
from cli.client import LONGEST_PAUSE, Client
from cli.errors import Unreachable
from cli.explain import STATUSES, WAITS
from cli.views import Edit

HOLD = 2  # seconds the server may wait before it answers: the age limit of the progress line
AWAY = 60.0  # seconds to wait for a server that restarts
Show = Callable[[Edit], None]


async def until_ended(client: Client, edit_id: str, show: Show) -> Edit:
    """Returns the ended edit; waits for a restarting server."""
    last_seen = time.monotonic()
    while True:
        asked = time.monotonic()
        try:
            edit, pause = await client.edit(edit_id, wait=HOLD)
        except Unreachable:
            if time.monotonic() - last_seen > AWAY:
                raise
            await asyncio.sleep(1)
            continue
        last_seen = time.monotonic()
        show(edit)
        if edit.ended:
            return edit
        if last_seen - asked < HOLD / 2:  # the server ignores `Prefer: wait`
            await asyncio.sleep(min(pause, LONGEST_PAUSE))


@contextmanager
def progress() -> Iterator[Show]:
    """Yields a function that shows the state of the edit."""
    started = time.monotonic()
    screen = output.console(sys.stderr)
    if screen.is_terminal:
        with screen.status("") as status:
            yield lambda edit: status.update(f"{time.monotonic() - started:.0f} s  {_doing(edit)}")
        return
    shown = ""

    def show(edit: Edit) -> None:
        nonlocal shown
        doing = _doing(edit)
        if doing != shown:
            shown = doing
            output.note(f"{time.monotonic() - started:5.1f} s  {doing}")

    yield show


def _doing(edit: Edit) -> str:
    if edit.ended:
        return edit.status
    if edit.waiting_for:
        return f"{edit.status}: {WAITS.get(edit.waiting_for, edit.waiting_for)}"
    return f"{edit.status}: {STATUSES.get(edit.status, 'in progress')}"
