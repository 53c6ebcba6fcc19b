"""The core on both engines (real Valkey; Debian's redis-server where it is installed), and storage of each kind."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis as redis_sync

from edits.db.connection import connect
from edits.db.sender import Scripts
from edits.storage.store import Storage
from tests.integration.edits.core import QUICK, Core, connected, raw
from tests.integration.edits.objects import open_at
from tests.integration.edits.sites import Site, run_site
from tests.parts.proxy import Proxy, run_proxy

_namespaces = itertools.count(1)


@pytest.fixture(params=["valkey_port", pytest.param("redis_server_port", marks=pytest.mark.redis_server)])
def engine_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Port of an empty server of each engine, without a memory limit."""
    port: int = request.getfixturevalue(request.param)
    with redis_sync.Redis(port=port) as client:
        client.flushall()
        yield port
        client.config_set("maxmemory", 0)


@pytest.fixture
async def core(engine_port: int, valkey_port: int) -> AsyncIterator[Core]:
    """Its clock stands still, so that no test measures the machine. At the end all keys are checked."""
    redis = connect(f"redis://127.0.0.1:{engine_port}/0")
    try:
        core = Core(redis, f"n{next(_namespaces)}")
        await core.freeze()
        yield core
        if not core.damaged and engine_port == valkey_port:
            await core.hold()
    finally:
        await redis.aclose()


@pytest.fixture
def busy(core: Core) -> Core:
    """The core without a check after each call, for tests with many or concurrent calls."""
    core.scripts.watching = False
    return core


@pytest.fixture(params=["file", "s3", "azure"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param != "file":
        return str(request.getfixturevalue({"s3": "bucket_url", "azure": "container_url"}[request.param]))
    return (tmp_path / "an object folder").as_uri()


@pytest.fixture
def storage(storage_url: str) -> Storage:
    return open_at(storage_url)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with run_site() as running:
        yield running


@pytest.fixture
async def proxy(engine_port: int) -> AsyncIterator[Proxy]:
    async with run_proxy(engine_port) as running:
        yield running


@pytest.fixture
async def far(core: Core, proxy: Proxy) -> AsyncIterator[Scripts]:
    """Scripts over the proxy, in the namespace of `core`; connected, and known to the server."""
    async with connected(proxy.port) as redis:
        yield await _known(Scripts(redis, core.namespace))


@pytest.fixture
async def hasty(core: Core, proxy: Proxy) -> AsyncIterator[Scripts]:
    """As `far`, for tests that withhold replies: its socket timeout is `QUICK`."""
    async with connected(proxy.port, socket_timeout=QUICK) as redis:
        yield await _known(Scripts(redis, core.namespace))


async def _known(scripts: Scripts) -> Scripts:
    await scripts.run(raw("read"), ids=["edit_none"])
    return scripts
