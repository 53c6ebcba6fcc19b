"""`retouch edit`: hands in a picture, waits for it and brings the result home. Repeating a step buys nothing twice."""

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Any

from cli import following, output, pictures, views
from cli.client import Client, Server
from cli.errors import WorkFailed, WrongUsage
from cli.explain import duration


async def run(server: Server, *, image: str, prompt: str, out: str | None, wait: bool, as_json: bool) -> None:
    _refuse_mixture(out=out, wait=wait, as_json=as_json)
    pictures.refuse_taken(out)
    body = {"prompt": prompt, "image": pictures.to_send(image)}
    async with Client(server) as client:
        raw = await client.create(body, idempotency_key=secrets.token_urlsafe(18))
        edit_id = views.edit(raw).id
        if not wait:
            _handed_in(raw, edit_id, as_json=as_json)
            return
        output.note(f"{edit_id} accepted")
        raw = await _followed(client, edit_id)
        saved = await _bring(client, views.edit(raw), image=image, out=out)
    _show(raw, saved, as_json=as_json)


def _refuse_mixture(*, out: str | None, wait: bool, as_json: bool) -> None:
    if out is not None and not wait:
        raise WrongUsage("--no-wait leaves nothing to write to --out; give one of the two")
    if out == "-" and as_json:
        raise WrongUsage("--json and -o - would both write to stdout; give one of the two")
    if out == "-" and sys.stdout.isatty():
        raise WrongUsage("-o - writes the picture's bytes to stdout, and that is a terminal; redirect it")


def _handed_in(raw: Any, edit_id: str, *, as_json: bool) -> None:
    if as_json:
        output.data_json(raw)
    else:
        output.data(edit_id)
        output.note(f"look at it with `retouch status {edit_id}`")


async def _followed(client: Client, edit_id: str) -> Any:
    try:
        with following.progress() as show:
            return await following.until_ended(client, edit_id, show)
    except asyncio.CancelledError:
        output.note(
            f"{edit_id} goes on without us: `retouch status {edit_id}` looks, `retouch cancel {edit_id}` ends it"
        )
        raise


async def _bring(client: Client, edit: views.Edit, *, image: str, out: str | None) -> Path | None:
    """Where the picture was saved; None when it went to stdout or there is none."""
    if edit.result is None or edit.status != "succeeded":
        return None
    async with client.result(edit.id) as content:
        if out == "-":
            await pictures.copy(content, sys.stdout.buffer, result=edit.result)
            return None
        return await pictures.save(content, result=edit.result, image=image, out=out)


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
