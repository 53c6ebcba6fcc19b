"""What the storage must hold of an ended edit: a manifest that agrees with its record, and the result as recorded."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

from edits.db.fields import Field
from edits.invariants.facts import Facts
from edits.invariants.report import Violation
from edits.models import EditStatus
from edits.storage import layout, manifest
from edits.storage.backends import ObjectMissing
from edits.storage.store import Storage

AT_ONCE: Final = 8
LARGEST_MANIFEST: Final = 1024 * 1024
COMPARED: Final = ("status", "attempt", "task_id", "tasks_bought", "result", "error.kind", "input")


async def violations(storage: Storage, ended: Sequence[Facts], *, deep: bool) -> list[Violation]:
    """Raises StorageError where the storage does not answer."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(facts: Facts) -> list[Violation]:
        async with places:
            texts = {"manifests": await _manifest(storage, facts), "results": await _result(storage, facts, deep=deep)}
        return [Violation(rule, facts.subject, text, facts.version) for rule, text in texts.items() if text]

    return [violation for found in await asyncio.gather(*map(one, ended)) for violation in found]


async def _manifest(storage: Storage, facts: Facts) -> str | None:
    pending = "manifest" in facts.scores  # it is about to be written (again)
    if pending and facts.record[Field.STATUS] != EditStatus.SUCCEEDED:
        return None
    try:
        data = await storage.get(layout.manifest_key(facts.id), max_bytes=LARGEST_MANIFEST)
    except ObjectMissing:
        return "it has no manifest"
    read = manifest.read(data)
    if read is None:
        return "its manifest cannot be read by this version"
    edit, written = facts.edit(), read[0]
    names = [name for name in COMPARED if _value(edit, name) != _value(written, name)]
    return f"its manifest differs from the record in {', '.join(names)}" if names and not pending else None


def _value(found: object, path: str) -> object:
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


async def _result(storage: Storage, facts: Facts, *, deep: bool) -> str | None:
    promised = facts.edit().result
    if promised is None:
        return None
    there = await storage.head(promised.key)
    if there is None:
        return f"{promised.key} is not there"
    if there.size != promised.bytes:
        return f"{promised.key} has {there.size} bytes, {promised.bytes} were promised"
    if deep and await _sha256(storage, promised.key) != promised.sha256:
        return f"{promised.key} has another hash than was promised"
    return None


async def _sha256(storage: Storage, key: str) -> str:
    digest = hashlib.sha256()
    async for chunk in await storage.open(key):
        digest.update(chunk)
    return digest.hexdigest()
