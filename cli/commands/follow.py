"""Follows an edit to its end, with progress on stderr: a status line at a terminal, else one line per change."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cli import output, views
from cli.client import LONGEST_PAUSE, Client
from cli.errors import Unreachable
from cli.explain import STATUSES, WAITS

HOLD = 2  # seconds the server may wait before it answers: the age limit of the progress line
AWAY = 60.0  # seconds to wait for a server that restarts
Show = Callable[[views.Edit], None]


async def until_ended(client: Client, edit_id: str, show: Show) -> Any:
    """Returns the ended edit as JSON; waits for a restarting server."""
    last_seen = time.monotonic()
    while True:
        asked = time.monotonic()
        try:
            raw, pause = await client.edit(edit_id, wait=HOLD)
        except Unreachable:
            if time.monotonic() - last_seen > AWAY:
                raise
            await asyncio.sleep(1)
            continue
        last_seen = time.monotonic()
        edit = views.edit(raw)
        show(edit)
        if edit.ended:
            return raw
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

    def show(edit: views.Edit) -> None:
        nonlocal shown
        doing = _doing(edit)
        if doing != shown:
            shown = doing
            output.note(f"{time.monotonic() - started:5.1f} s  {doing}")

    yield show


def _doing(edit: views.Edit) -> str:
    if edit.ended:
        return edit.status
    if edit.waiting:
        return f"{edit.status}: {WAITS.get(edit.waiting.name, edit.waiting.name)}"
    return f"{edit.status}: {STATUSES.get(edit.status, 'in progress')}"
