"""`status`, `cancel` and `explain`: one API call, one answer on stdout; `status` at a terminal is a live table."""

import asyncio
import sys
from datetime import UTC, datetime

from rich.console import Group
from rich.live import Live
from rich.text import Text

from cli import explain, output, render
from cli.client import Client, find
from cli.errors import Unreachable

RECENT = 20  # edits that are listed
NO_EDITS = "no edits yet: `retouch edit IMAGE PROMPT` makes one"
REFRESH = 1.0  # seconds
AROUND = 5  # screen lines for headings and footer


async def status(*, edit_id: str | None, as_json: bool) -> None:
    async with find() as client:
        if edit_id is not None:
            edit, _ = await client.edit(edit_id)
            output.show(render.edit_card(edit), edit.raw, as_json=as_json)
        elif not as_json and sys.stdout.isatty():
            await _live(client)
        else:
            await _recent(client, as_json=as_json)


async def _recent(client: Client, *, as_json: bool) -> None:
    edits = await client.recent(RECENT)
    if as_json:
        for edit in edits:
            output.data_json(edit.raw)
    elif edits:
        output.data(render.edit_list(edits))
    else:
        output.note(NO_EDITS)


async def _live(client: Client) -> None:
    """Runs until canceled. Raises Unreachable if the first call fails."""
    screen = output.console(sys.stdout)
    fitting = max(min(RECENT, screen.height - AROUND), 1)
    edits = await client.recent(fitting)
    with Live(console=screen, auto_refresh=False) as shown:
        answered = datetime.now().astimezone()
        while True:
            rows = render.edit_list(edits) if edits else Text(NO_EDITS)
            footer = Text(f"as of {answered:%H:%M:%S}; stop with Ctrl-C", style="dim")
            shown.update(Group(rows, footer), refresh=True)
            await asyncio.sleep(REFRESH)
            try:
                edits = await client.recent(fitting)
            except Unreachable:
                continue  # the server may be restarting; the time in the footer stays
            answered = datetime.now().astimezone()


async def cancel(*, edit_id: str, as_json: bool) -> None:
    async with find() as client:
        edit = await client.cancel(edit_id)
    output.show(f"{edit.id} {edit.status}", edit.raw, as_json=as_json)


async def why(*, edit_id: str, as_json: bool) -> None:
    async with find() as client:
        edit, _ = await client.edit(edit_id)
    said = explain.sentence(edit, now=datetime.now(UTC))
    shown = {"id": edit.id, "status": edit.status, "waiting_for": edit.waiting_for, "explanation": said}
    output.show(said, shown, as_json=as_json)
