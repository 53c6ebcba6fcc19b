"""Which servers may keep edits, and what worker processes say of themselves in one."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_sync

from edits.ceilings import Ceilings
from edits.db import checks
from edits.db.connection import connect
from edits.db.workers import LIVES, WorkerRegistry
from edits.errors import RedisUnfit, Unavailable
from edits.models import Step
from tests.integration.edits.core import Core
from tests.parts.valkey import free_port, server_binary, start_server


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """The address of a server with options of its own."""
    port = free_port()
    if "--cluster-enabled" in options:  # else its bus listens on the port + 10000, which may be none
        options = (*options, "--cluster-port", str(free_port()))
    process = start_server(server_binary(), folder / str(port), port, *options)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(90)


async def fault_of(url: str) -> str | None:
    redis = connect(url)
    try:
        return (await checks.look(redis)).fault
    finally:
        await redis.aclose()


async def test_a_server_shows_what_it_is(core: Core):
    state = await checks.look(core.redis)
    assert state.fault is None
    assert state.name.split()[0] in {"Valkey", "Redis"}
    assert state.version >= (7, 0)
    assert (state.policy, state.appendonly, state.appendfsync) == ("noeviction", True, "always")
    assert (state.replica, state.replicas, state.max_bytes) == (False, 0, 0)
    assert abs(state.ahead) < 1
    await checks.require_fit(core.redis)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--maxmemory-policy", "allkeys-lru"], "maxmemory-policy allkeys-lru may throw accepted edits away"),
        (["--cluster-enabled", "yes"], "cluster mode"),
    ],
)
async def test_a_server_that_may_lose_edits_or_cannot_change_them_is_refused(tmp_path: Path, options, why):
    with served(tmp_path, *options) as url:
        assert why in (await fault_of(url) or "")
        with pytest.raises(RedisUnfit, match=f"RETOUCH_REDIS_URL: this server is refused: .*{why}"):
            await checks.refuse_unfit(url, "retouch")


async def test_a_replica_is_refused_and_counted_by_its_master(tmp_path: Path):
    with served(tmp_path) as master:
        port = master.rpartition(":")[2].removesuffix("/0")
        with served(tmp_path, "--replicaof", f"127.0.0.1 {port}") as replica:
            assert "it is a replica" in (await fault_of(replica) or "")
            redis = connect(master)
            try:
                until = time.monotonic() + 90
                while (await checks.look(redis)).replicas != 1:
                    assert time.monotonic() < until
            finally:
                await redis.aclose()


async def test_a_user_who_may_not_ask_for_the_configuration_is_served_all_the_same(tmp_path: Path):
    with served(tmp_path) as url:
        port = int(url.rpartition(":")[2].removesuffix("/0"))
        with redis_sync.Redis(port=port) as admin:
            admin.execute_command("ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all", "-config")
        redis = connect(f"redis://app:word@127.0.0.1:{port}/0")
        try:
            state = await checks.look(redis)
        finally:
            await redis.aclose()
        assert (state.fault, state.appendonly, state.appendfsync) == (None, True, None)


async def test_a_wrong_password_is_told_from_a_server_that_is_away(tmp_path: Path):
    with served(tmp_path) as url:
        with redis_sync.Redis.from_url(url) as admin:
            admin.config_set("requirepass", "right")
        with pytest.raises(Unavailable, match="refuses the user or password") as told:
            await fault_of(url.replace("//", "//:notright@"))
        assert "notright" not in str(told.value)
        with pytest.raises(Unavailable, match="refuses the user or password"):
            await fault_of(url)
    with pytest.raises(Unavailable, match="nothing listens at its address"):
        await fault_of(url)
    await checks.refuse_unfit(url, "retouch")  # waited for later


async def test_the_registry_has_the_living_processes_with_their_steps_and_ceilings(core: Core):
    nobody = await checks.workers(core.redis, core.namespace)
    assert (nobody.processes, set(nobody.on.values()), nobody.ceilings) == (0, {0}, {})

    one, other = (WorkerRegistry(core.scripts, Ceilings(5, 50, in_flight)) for in_flight in (20, 10))
    await one.heartbeat(list(Step))
    await other.heartbeat([Step.POLL])
    found = await checks.workers(core.redis, core.namespace)
    assert found.processes == 2
    assert (found.on[Step.POLL], found.on[Step.SUBMIT]) == (2, 1)
    assert found.ceilings == {"creates_per_second": (5,), "reads_per_second": (50,), "max_in_flight": (10, 20)}

    await other.heartbeat([Step.POLL], leave=True)
    left = await checks.workers(core.redis, core.namespace)
    assert (left.processes, left.on[Step.POLL], left.ceilings["max_in_flight"]) == (1, 1, (20,))
    await core.pass_time(LIVES.total_seconds() + 0.1)
    dead = await checks.workers(core.redis, core.namespace)
    assert (dead.processes, set(dead.on.values()), dead.ceilings) == (0, {0}, {})
