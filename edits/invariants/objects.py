"""What the storage must hold of an edit that has ended: a manifest that agrees, and the picture as promised."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

from edits.db.fields import Field
from edits.invariants.facts import Facts, edit_of
from edits.models import Edit, EditResult, EditStatus
from edits.storage import layout, manifest
from edits.storage.store import ObjectMissing, Storage

AT_ONCE: Final = 8
LARGEST_MANIFEST: Final = 1024 * 1024

Doubt = tuple[str, Facts, str]
"""Rule, facts of the edit, what is wrong."""


async def doubts(storage: Storage, ended: Sequence[Facts], *, deep: bool) -> list[Doubt]:
    """Raises StorageError where the storage does not tell."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(facts: Facts) -> list[Doubt]:
        async with gate:
            wrong = [("manifests", said) for said in await _manifest(storage, facts)]
            wrong += [("results", said) for said in await _result(storage, facts, deep=deep)]
        return [(rule, facts, said) for rule, said in wrong]

    return [doubt for found in await asyncio.gather(*map(one, ended)) for doubt in found]


async def _manifest(storage: Storage, facts: Facts) -> list[str]:
    pending = "manifest" in facts.scores  # it is about to be written (again)
    succeeded = facts.e[Field.STATUS] == EditStatus.SUCCEEDED
    if pending and not succeeded:
        return []
    try:
        data = await storage.get(layout.manifest_key(facts.id), max_bytes=LARGEST_MANIFEST)
    except ObjectMissing:
        return ["it has no manifest"]
    read = manifest.read(data)
    if read is None:
        return ["its manifest cannot be read by this version"]
    return [] if pending else _differences(edit_of(facts), read[0])


def _differences(record: Edit, written: Edit) -> list[str]:
    compared = {
        "status": (record.status, written.status),
        "attempt": (record.attempt, written.attempt),
        "task_id": (record.task_id, written.task_id),
        "tasks_bought": (record.tasks_bought, written.tasks_bought),
        "result": (record.result, written.result),
        "error": (record.error and record.error.kind, written.error and written.error.kind),
        "input": (record.input, written.input),
    }
    differing = [name for name, (here, there) in compared.items() if here != there]
    return [f"its manifest differs from the record in {', '.join(differing)}"] if differing else []


async def _result(storage: Storage, facts: Facts, *, deep: bool) -> list[str]:
    promised: EditResult | None = edit_of(facts).result
    if promised is None:
        return []
    there = await storage.head(promised.key)
    if there is None:
        return [f"{promised.key} is not there"]
    if there.size != promised.bytes:
        return [f"{promised.key} has {there.size} bytes, {promised.bytes} were promised"]
    if deep and await _sha256(storage, promised.key) != promised.sha256:
        return [f"{promised.key} has another hash than was promised"]
    return []


async def _sha256(storage: Storage, key: str) -> str:
    digest = hashlib.sha256()
    async for chunk in (await storage.open(key)).chunks:
        digest.update(chunk)
    return digest.hexdigest()
