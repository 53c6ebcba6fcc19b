"""`retouch edit`: hands pictures in, waits for them and brings the results home. Repeating it buys nothing twice."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import output, pictures, sources, streams, views
from cli.client import Client, Server
from cli.commands import batch, follow, pricing, submit
from cli.commands.submit import Asked
from cli.errors import WorkFailed, WrongUsage
from cli.explain import duration
from cli.sources import Found, Source


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The command line."""

    images: tuple[str, ...]
    asked: Asked
    out: str | None
    wait: bool
    dry_run: bool
    as_json: bool


async def run(server: Server, wanted: Wanted) -> int:
    """The exit code."""
    _refuse_mixture(wanted)
    found = sources.find(wanted.images)
    async with Client(server) as client:
        if wanted.dry_run:
            return await pricing.show(client, found.sources, wanted.asked, as_json=wanted.as_json)
        if found.many:
            return await _many(client, found, wanted)
        await _one(client, found.sources[0], wanted)
    return 0


def _refuse_mixture(wanted: Wanted) -> None:
    out = wanted.out
    if out is not None and not wanted.wait:
        raise WrongUsage("--no-wait leaves nothing to write to --out; give one of the two")
    if out == "-" and wanted.as_json:
        raise WrongUsage("--json and -o - would both write to stdout; give one of the two")
    if out == "-" and sys.stdout.isatty():
        raise WrongUsage("-o - writes the picture's bytes to stdout, and that is a terminal; redirect it")


async def _many(client: Client, found: Found, wanted: Wanted) -> int:
    if wanted.out == "-":
        raise WrongUsage("-o - takes one picture; give a folder for several")
    folder = batch.folder_for(found, wanted.out) if wanted.wait else Path()
    work = batch.Many(client, wanted.asked, folder=folder, wait=wanted.wait, as_json=wanted.as_json)
    return await work.run(found)


async def _one(client: Client, source: Source, wanted: Wanted) -> None:
    pictures.refuse_taken(wanted.out)
    raw, known = await submit.hand_in(client, source, wanted.asked)
    edit_id = views.edit(raw).id
    output.note(f"{edit_id} was asked for before: nothing is bought again" if known else f"{edit_id} accepted")
    if not wanted.wait:
        _handed_in(raw, edit_id, as_json=wanted.as_json)
        return
    raw = await _followed(client, edit_id)
    saved = await _bring(client, views.edit(raw), source=source, out=wanted.out)
    _show(raw, saved, as_json=wanted.as_json)


def _handed_in(raw: Any, edit_id: str, *, as_json: bool) -> None:
    if as_json:
        output.data_json(raw)
    else:
        output.data(edit_id)
        output.note(f"look at it with `retouch status {edit_id}`")


async def _followed(client: Client, edit_id: str) -> Any:
    try:
        with follow.progress() as show:
            return await follow.until_ended(client, edit_id, show)
    except asyncio.CancelledError:
        output.note(
            f"{edit_id} goes on without us: `retouch status {edit_id}` looks, `retouch cancel {edit_id}` ends it"
        )
        raise


async def _bring(client: Client, edit: views.Edit, *, source: Source, out: str | None) -> Path | None:
    """Where the picture was saved; None when it went to stdout or there is none."""
    if edit.result is None or edit.status != "succeeded":
        return None
    if out != "-":
        return await pictures.save(lambda: client.result(edit.id), result=edit.result, image=source.name, out=out)
    async with client.result(edit.id) as content:
        with streams.writing():
            await pictures.copy(content, sys.stdout.buffer, result=edit.result)
    return None


def _show(raw: Any, saved: Path | None, *, as_json: bool) -> None:
    edit = views.edit(raw)
    if as_json:
        output.data_json(raw | {"saved_to": str(saved.absolute()) if saved else None})
    elif saved:
        output.data(str(saved))
    if edit.status != "succeeded":
        why = f": {edit.error.kind}: {edit.error.message}" if edit.error else ""
        raise WorkFailed(f"{edit.id} {edit.status}{why}")
    bought = "" if edit.livemode else "; sandbox: nothing was bought"
    took = duration(edit.finished_at - edit.created_at) if edit.finished_at else "a while"
    output.note(f"{edit.id} succeeded in {took}, ${edit.cost.usd}{bought}")
