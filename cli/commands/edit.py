"""`retouch edit`: submits pictures, waits and saves the results. A repeated command buys nothing twice."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from cli import output, pictures, sources, streams
from cli.client import Client, find
from cli.commands import batch, follow, pricing, submit
from cli.commands.submit import EditRequest
from cli.errors import WorkFailed, WrongUsage
from cli.explain import duration
from cli.sources import Source
from cli.views import Edit


async def run(
    images: Sequence[str], request: EditRequest, *, out: str | None, wait: bool, dry_run: bool, as_json: bool
) -> int:
    """The exit code."""
    _refuse_mixture(out, wait=wait, as_json=as_json)
    found = sources.find(images)
    async with find() as client:
        if dry_run:
            return await pricing.show(client, found.sources, request, as_json=as_json)
        if found.several:
            if out == "-":
                raise WrongUsage("-o - takes one picture; use a folder for several")
            folder = batch.folder_for(found, out) if wait else Path()
            return await batch.Batch(client, request, folder=folder, wait=wait, as_json=as_json).run(found)
        await _one(client, found.sources[0], request, out=out, wait=wait, as_json=as_json)
    return 0


def _refuse_mixture(out: str | None, *, wait: bool, as_json: bool) -> None:
    if out is not None and not wait:
        raise WrongUsage("--out cannot be used with --no-wait")
    if out == "-" and as_json:
        raise WrongUsage("--json cannot be used with -o -: both write to stdout")
    if out == "-" and sys.stdout.isatty():
        raise WrongUsage("-o - writes binary data to stdout; redirect stdout to a file or pipe")


async def _one(
    client: Client, source: Source, request: EditRequest, *, out: str | None, wait: bool, as_json: bool
) -> None:
    pictures.refuse_taken(out)
    edit, known = await submit.submit_picture(client, source, request)
    output.note(f"{edit.id} exists already; it is not bought again" if known else f"{edit.id} accepted")
    if not wait:
        output.show(edit.id, edit.raw, as_json=as_json)
        if not as_json:
            output.note(f"`retouch status {edit.id}` shows its state")
        return
    edit = await _followed(client, edit.id)
    saved = await _save(client, edit, source=source, out=out)
    if as_json:
        output.data_json(edit.raw | {"saved_to": str(saved.absolute()) if saved else None})
    elif saved:
        output.data(str(saved))
    if edit.status != "succeeded":
        raise WorkFailed(edit.outcome)
    bought = "" if edit.livemode else "; sandbox: nothing was bought"
    took = duration(edit.took) if edit.took is not None else "unknown time"
    output.note(f"{edit.id} succeeded in {took}, ${edit.usd}{bought}")


async def _followed(client: Client, edit_id: str) -> Edit:
    try:
        with follow.progress() as show:
            return await follow.until_ended(client, edit_id, show)
    except asyncio.CancelledError:
        output.note(f"{edit_id} continues; `retouch status {edit_id}` shows it, `retouch cancel {edit_id}` cancels it")
        raise


async def _save(client: Client, edit: Edit, *, source: Source, out: str | None) -> Path | None:
    """Path of the saved picture; None if it went to stdout or the edit has none."""
    if edit.result is None or edit.status != "succeeded":
        return None
    if out != "-":
        return await pictures.save(lambda: client.result(edit.id), result=edit.result, image=source.name, out=out)
    async with client.result(edit.id) as content:
        with streams.writing():
            await pictures.copy(content, sys.stdout.buffer, result=edit.result)
    return None
