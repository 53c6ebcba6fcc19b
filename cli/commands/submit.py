"""Submits one picture. The idempotency key is a hash of the request: repeats within 24 hours return the same edit."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.client import Client
from cli.sources import Picture, Source
from cli.views import Edit


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """The edit to make of each picture. `force`: buy again, ignoring earlier requests."""

    prompt: str
    options: Mapping[str, Any] = field(default_factory=dict)  # further fields of the body
    force: bool = False

    def body(self, source: Source) -> dict[str, Any]:
        image = {"image": source.name} if source.path is None else {}
        return {"prompt": self.prompt, **image, **self.options}

    def key(self, source: Source, picture: Picture | None, *, after: str = "") -> str:
        """`after`: id of the canceled edit that has the key without it."""
        if self.force:
            return secrets.token_urlsafe(18)
        digest = hashlib.sha256(picture.content).hexdigest() if picture else ""
        text = json.dumps([self.body(source), digest, after], sort_keys=True)
        return f"retouch-{hashlib.sha256(text.encode()).hexdigest()[:48]}"


async def submit_picture(client: Client, source: Source, request: EditRequest) -> tuple[Edit, bool]:
    """Returns a new edit of this picture, or that of an earlier equal request, and which of the two: `known`.

    A canceled edit is submitted again under another key; a failed one is retried if its error is retryable.
    """
    picture = await asyncio.to_thread(source.read)
    after = ""
    while True:
        key = request.key(source, picture, after=after)
        edit, known = await client.create(request.body(source), picture=picture, idempotency_key=key)
        if not known or edit.status not in {"canceled", "failed"}:
            return edit, known
        if edit.status == "canceled":
            after = edit.id
        elif edit.error is None or not edit.error.retryable:
            return edit, known
        else:
            return await client.retry(edit.id), known
