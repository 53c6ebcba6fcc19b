"""The API under a real server on loopback, over the session's Valkey and a folder of its own."""

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from config.settings import Settings, load
from tests.integration.api.progress import Progress, progress_of
from tests.parts.valkey import free_port

KEY = "operators-key-for-tests"
SECRET = "a-secret-of-thirty-two-bytes-or-more"


@dataclass(frozen=True)
class Api:
    url: str
    settings: Settings
    client: httpx.Client
    app: FastAPI

    @property
    def objects(self) -> Path:
        """The folder that is its storage."""
        return Path(self.settings.storage_url.removeprefix("file://"))

    def accept(self, **fields: object) -> dict[str, object]:
        body = {"prompt": "make the sky stormy", "image": "http://example.com/house.jpg"} | fields
        answer = self.client.post("/v1/edits", json=body)
        assert answer.status_code == 202, answer.text
        edit: dict[str, object] = answer.json()
        return edit


def settings_for(redis_url: str, folder: Path, port: int, **changes: str) -> Settings:
    environ = {
        "RETOUCH_REDIS_URL": redis_url,
        "RETOUCH_DATA_DIR": str(folder),
        "RETOUCH_SECRET_KEY": SECRET,
        "RETOUCH_API__ADMIN_KEY": KEY,
        "RETOUCH_API__PORT": str(port),
        "RETOUCH_QUBICO__BASE_URL": "http://127.0.0.1:9",
        "RETOUCH_QUBICO__API_KEY": "sandbox-key",
    }
    return load(environ | changes, dotenv=None)


@contextlib.contextmanager
def serving(settings: Settings, **server_options: Any) -> Iterator[Api]:
    """A server of its own in a thread, gone when the block ends."""
    app = create_app(settings)
    where = {"host": settings.api.host, "port": settings.api.port}
    config = uvicorn.Config(app, log_level="warning", lifespan="on", **where, **server_options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    until = time.monotonic() + 90
    while not server.started:
        assert thread.is_alive(), "the server ended while it started"
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.01)
    url = f"http://{settings.api.host}:{settings.api.port}"
    headers = {"Authorization": f"Bearer {KEY}"}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=90, trust_env=False) as client:
            yield Api(url, settings, client, app)
    finally:
        server.should_exit = True
        thread.join(90)
        assert not thread.is_alive()


@pytest.fixture
def start_api(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Starts an API with settings of its own: `start_api(RETOUCH_EDITS__MAX_QUEUED="1")`."""
    with contextlib.ExitStack() as stack:

        def start(**changes: str) -> Api:
            settings = settings_for(redis_url, tmp_path, free_port(), **changes)
            return stack.enter_context(serving(settings))

        yield start


@pytest.fixture(scope="module")
def shared_api(valkey_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    with serving(settings_for(f"redis://127.0.0.1:{valkey_port}/0", folder, free_port())) as api:
        yield api


@pytest.fixture
def api(shared_api: Api, redis_url: str) -> Api:
    """With settings as they come; no edit and no picture is left from the test before."""
    assert redis_url == shared_api.settings.redis_url
    for kept in shared_api.objects.iterdir():
        shutil.rmtree(kept)
    return shared_api


@pytest.fixture
def public_client(api: Api) -> Iterator[httpx.Client]:
    """Sends no key."""
    with httpx.Client(base_url=api.url, timeout=90, trust_env=False) as client:
        yield client


@pytest.fixture
async def progress(api: Api) -> AsyncIterator[Progress]:
    async with progress_of(api.settings) as brought_on:
        yield brought_on


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """As `api.client`, for tests that ask several things at once."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=api.url, headers=headers, timeout=100, trust_env=False) as asking:
        yield asking
