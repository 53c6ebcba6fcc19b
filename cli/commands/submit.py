"""One picture handed in for an edit.

The idempotency key is made from what is asked: the same again, within 24 hours, finds the same edit and buys nothing.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cli import views
from cli.client import Client
from cli.sources import Picture, Source


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to do with each picture. `anew`: buy again, whatever was asked before."""

    prompt: str
    options: Mapping[str, Any] = field(default_factory=dict)  # fields of the body, only those that were given
    anew: bool = False

    def body(self, source: Source) -> dict[str, Any]:
        image = {"image": source.name} if source.path is None else {}
        return {"prompt": self.prompt, **image, **self.options}

    def key(self, source: Source, picture: Picture | None, *, after: str = "") -> str:
        """`after`: an edit that this key stood for and that was canceled."""
        if self.anew:
            return secrets.token_urlsafe(18)
        digest = hashlib.sha256(picture.content).hexdigest() if picture else ""
        text = json.dumps([self.body(source), digest, after], sort_keys=True)
        return f"retouch-{hashlib.sha256(text.encode()).hexdigest()[:48]}"


class HandedIn(NamedTuple):
    edit: Any  # as the API shows it
    known: bool  # it was handed in before


async def hand_in(client: Client, source: Source, asked: Asked) -> HandedIn:
    """The edit of this picture: a new one, or the one that was asked for before.

    A canceled one is asked for anew, and one that failed is tried again if that is worth it.
    """
    picture = await asyncio.to_thread(source.read)
    after = ""
    while True:
        key = asked.key(source, picture, after=after)
        raw, known = await client.create(asked.body(source), picture=picture, idempotency_key=key)
        edit = views.edit(raw)
        if not known or edit.status not in {"canceled", "failed"}:
            return HandedIn(raw, known)
        if edit.status == "canceled":
            after = edit.id
        elif edit.error is None or not edit.error.retryable:
            return HandedIn(raw, known)
        else:
            return HandedIn(await client.retry(edit.id), known)
