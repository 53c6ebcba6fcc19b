"""`status`, `cancel` and `explain`: one API call, one answer on stdout."""

import sys
from datetime import UTC, datetime

from cli import explain, output, render, views
from cli.client import Client, Server
from cli.commands import live


async def status(server: Server, *, edit_id: str | None, as_json: bool) -> None:
    async with Client(server) as client:
        if edit_id is None and not as_json and sys.stdout.isatty():
            await live.table(client)
            return
        if edit_id is None:
            edits = await client.recent(live.RECENT)
            if as_json:
                for raw in edits:
                    output.data_json(raw)
            elif edits:
                output.data(render.edit_list([views.edit(raw) for raw in edits]))
            else:
                output.note("no edits yet: `retouch edit IMAGE PROMPT` makes one")
            return
        raw, _ = await client.edit(edit_id)
    if as_json:
        output.data_json(raw)
    else:
        output.data(render.edit_card(views.edit(raw)))


async def cancel(server: Server, *, edit_id: str, as_json: bool) -> None:
    async with Client(server) as client:
        raw = await client.cancel(edit_id)
    if as_json:
        output.data_json(raw)
    else:
        output.data(f"{views.edit(raw).id} {views.edit(raw).status}")


async def why(server: Server, *, edit_id: str, as_json: bool) -> None:
    async with Client(server) as client:
        raw, _ = await client.edit(edit_id)
    edit = views.edit(raw)
    said = explain.sentence(edit, now=datetime.now(UTC))
    if as_json:
        waiting = edit.waiting.name if edit.waiting else None
        output.data_json({"id": edit.id, "status": edit.status, "waiting_for": waiting, "explanation": said})
    else:
        output.data(said)
