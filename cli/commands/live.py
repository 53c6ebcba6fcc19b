"""A live table of the latest edits, until Ctrl-C."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from cli import output, render, views
from cli.client import Client
from cli.errors import Unreachable

RECENT = 20  # edits that are listed
REFRESH = 1.0  # seconds
AROUND = 5  # screen lines for headings and footer


async def table(client: Client) -> None:
    """Runs until canceled. Raises Unreachable if the first call fails."""
    screen = output.console(sys.stdout)
    fitting = max(min(RECENT, screen.height - AROUND), 1)
    edits = [views.edit(raw) for raw in await client.recent(fitting)]
    with Live(console=screen, auto_refresh=False) as shown:
        answered = datetime.now().astimezone()
        while True:
            shown.update(_drawn(edits, answered), refresh=True)
            await asyncio.sleep(REFRESH)
            try:
                edits = [views.edit(raw) for raw in await client.recent(fitting)]
            except Unreachable:
                continue  # the server may be restarting; the time in the footer stays
            answered = datetime.now().astimezone()


def _drawn(edits: Sequence[views.Edit], answered: datetime) -> RenderableType:
    rows = render.edit_list(edits) if edits else Text("no edits yet: `retouch edit IMAGE PROMPT` makes one")
    return Group(rows, Text(f"as of {answered:%H:%M:%S}; stop with Ctrl-C", style="dim"))
