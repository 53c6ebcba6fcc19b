"""What must be on a replica before it counts: an accept and an intent to buy, and nothing else waits for that."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edits import errors
from edits.ceilings import Ceilings
from edits.db import sender
from edits.db.admission import Caps
from edits.db.connection import connect
from edits.db.repository import EditRepository
from edits.db.sender import Scripts
from tests.factories import make_edit
from tests.integration.edits.core import LEASE, Worker
from tests.parts.patience import LONG
from tests.parts.valkey import free_port, server_binary, start_server


@pytest.fixture
def primary_port(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    server = start_server(server_binary(), tmp_path / "primary", port)
    yield port
    server.kill()
    server.wait(90)


@pytest.fixture
def replica(primary_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[subprocess.Popen[bytes]]":
    monkeypatch.setattr(sender, "REPLICATED_WITHIN", 60_000)  # however busy the machine is
    server = start_server(
        server_binary(), tmp_path / "replica", free_port(), "--replicaof", "127.0.0.1", str(primary_port)
    )
    yield server
    server.kill()
    server.wait(90)


@pytest.fixture
async def repository(primary_port: int) -> AsyncIterator[EditRepository]:
    """It wants one replica."""
    redis = connect(f"redis://127.0.0.1:{primary_port}/0", socket_timeout=LONG)
    yield EditRepository(redis, namespace="t", scripts=Scripts(redis, "t", replicas=1))
    await redis.aclose()


async def online(repository: EditRepository) -> None:
    for _ in range(4500):  # 90 s
        if (await repository.redis.info("replication")).get("slave0", {}).get("state") == "online":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the replica did not come online")


async def test_with_its_replica_everything_goes_on(
    repository: EditRepository, replica: "subprocess.Popen[bytes]"
) -> None:
    await online(repository)
    accepted = await repository.accept(make_edit(), None, Caps(10))
    worker = Worker.of(repository.scripts, Ceilings(100, 100, 100))
    (claim,) = (await worker.claims.submit(1, lease=LEASE)).claims
    assert claim.id == accepted.edit.id


async def test_without_enough_replicas_an_accept_is_in_doubt_and_the_same_one_tells_the_truth(
    repository: EditRepository, replica: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    await online(repository)
    replica.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(sender, "REPLICATED_WITHIN", 300)
    edit = make_edit()
    with pytest.raises(errors.AcceptUnknown):
        await repository.accept(edit, None, Caps(10))
    with pytest.raises(errors.AcceptUnknown):  # a repeat writes nothing, and still waits for the first one's write
        await repository.accept(edit, None, Caps(10))
    assert (await repository.get(edit.id)) is not None
    replica.send_signal(signal.SIGCONT)
    monkeypatch.setattr(sender, "REPLICATED_WITHIN", 60_000)
    accepted = await repository.accept(edit, None, Caps(10))
    assert (accepted.edit.id, accepted.replayed) == (edit.id, False)
