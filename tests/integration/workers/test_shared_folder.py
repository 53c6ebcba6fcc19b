"""Several hosts on one shared folder: what one writes the others see, whole or not at all."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from config.settings import Settings
from edits.models import EditStatus, Step, new_id
from edits.storage import layout, manifest
from edits.storage.backends import ObjectMissing
from edits.storage.store import Storage
from tests.integration.edits.objects import pieces
from tests.integration.workers.conftest import STEADY
from tests.integration.workers.rounds import Rounds
from tests.parts.sandbox import Sandbox
from workers.clients import open_clients

LARGE = 12_000_000
"""Bytes; three parts of a write."""


@pytest.fixture
async def hosts(
    settings_with: Callable[..., Settings], sandbox: Sandbox, tmp_path: Path
) -> AsyncIterator[tuple[Rounds, Rounds]]:
    """Two workers with a data folder each and one storage."""
    sandbox.options(**STEADY)
    shared = (tmp_path / "shared" / "objects").as_uri()
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                open_clients(settings_with(RETOUCH_DATA_DIR=str(tmp_path / name), RETOUCH_STORAGE_URL=shared))
            )
            for name in ("one", "other")
        ]
        yield Rounds(clients[0], sandbox), Rounds(clients[1], sandbox)


async def test_one_host_stores_what_another_bought_and_a_third_reads_it(hosts: tuple[Rounds, Rounds]) -> None:
    one, other = hosts
    edit_id = await one.accept()
    await one.reach(edit_id, EditStatus.STORING)
    edit = await other.finish(edit_id)
    assert edit.status is EditStatus.SUCCEEDED
    assert edit.result is not None
    for host in hosts:
        data = await host.clients.storage.get(edit.result.key)
        assert hashlib.sha256(data).hexdigest() == edit.result.sha256
        told = manifest.read(await host.clients.storage.get(layout.manifest_key(edit_id)))
        assert told is not None
        assert told[0] == edit
    assert one.bought() == 1


async def test_a_copy_that_one_host_finished_is_not_made_again_by_another(hosts: tuple[Rounds, Rounds]) -> None:
    """The manifest is there, the word that it is was lost: its writer died."""
    one, other = hosts
    edit_id = await one.accept()
    await one.reach(edit_id, EditStatus.STORING)
    claim, lease = await one.claim_one(Step.STORE)
    await one.wait(one.work[Step.STORE].lease.total_seconds() + 1)
    late, _ = await other.claim_one(Step.STORE)
    await one.work[Step.STORE].work(claim, lease)  # its fence is old: it writes, and decides nothing
    assert (await one.edit(edit_id)).status is EditStatus.STORING
    downloads = one.sandbox.stats()["downloads"]
    await other.work[Step.STORE].work(late, lease)
    assert (await other.edit(edit_id)).status is EditStatus.SUCCEEDED
    assert one.sandbox.stats()["downloads"] == downloads


async def test_a_reader_on_another_host_sees_one_whole_object_or_the_other(hosts: tuple[Rounds, Rounds]) -> None:
    here, there = (host.clients.storage for host in hosts)
    key = layout.result_key(new_id(), 1, "png")
    versions = [bytes([number]) * LARGE for number in range(4)]
    whole = {hashlib.sha256(data).hexdigest() for data in versions}
    writing = asyncio.create_task(_write(here, key, versions))
    seen = []
    while not writing.done():
        with contextlib.suppress(ObjectMissing):
            seen.append(hashlib.sha256(await there.get(key)).hexdigest())
        listed = [info.size async for info in there.list(layout.edit_folder(key.split("/")[4]))]
        assert listed in ([], [LARGE])
    await writing
    assert set(seen) <= whole
    assert len(seen) >= len(versions)


async def _write(storage: Storage, key: str, versions: list[bytes]) -> None:
    for data in versions:
        await storage.put_stream(key, pieces(data), content_type="image/png", max_bytes=LARGE)
        await storage.put(key, data, content_type="image/png")
