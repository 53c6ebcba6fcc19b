"""Behind a proxy: who asks is believed only from the proxies that are named, and browsers only of named origins.

The proxy is a real one, and the API its own process, started as `retouch api` starts it.
"""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import httpx
import pytest
from aiohttp import web

from cli.local import programs
from config.settings import load
from tests.integration.api.conftest import KEY, SECRET, Api
from tests.parts.stack import environment
from tests.parts.valkey import free_port

BODY = {"prompt": "make the sky stormy", "image": "http://example.com/house.jpg"}
VISITOR = "198.51.100.7"


class Process:
    """`retouch api` on a port of its own."""

    def __init__(self, folder: Path, redis_url: str, **settings: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        own = {
            "RETOUCH_REDIS_URL": redis_url, "RETOUCH_SECRET_KEY": SECRET, "RETOUCH_API__ADMIN_KEY": KEY,
            "RETOUCH_API__PORT": str(port), "RETOUCH_QUBICO__BASE_URL": "http://127.0.0.1:9",
            "RETOUCH_QUBICO__API_KEY": "sandbox-key", "RETOUCH_LOG__FORMAT": "json",
        }  # fmt: skip
        self._written = (folder / "api.log").open("w+b")
        command = [sys.executable, "-m", "cli", "api"]
        environ = environment(folder, **own | settings)
        self._process = subprocess.Popen(command, cwd=folder, env=environ, stdout=self._written, stderr=self._written)

    def wait(self) -> None:
        until = time.monotonic() + 90
        while True:
            with contextlib.suppress(httpx.TransportError):
                self.alive = httpx.get(f"{self.url}/healthz", timeout=90, trust_env=False)
                return
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < until
            time.sleep(0.02)

    def log(self) -> str:
        self._written.seek(0)
        return self._written.read().decode()

    def lines(self, event: str) -> list[dict[str, str]]:
        """What was logged of this event; the process has ended."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(90)
        logged = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in logged if line["event"] == event]

    def close(self) -> None:
        self._process.kill()
        self._process.wait(90)
        self._written.close()


@pytest.fixture
def start(tmp_path: Path, redis_url: str) -> Iterator[Callable[..., Process]]:
    with contextlib.ExitStack() as stack:

        def started(**settings: str) -> Process:
            process = Process(tmp_path, redis_url, **settings)
            stack.callback(process.close)
            process.wait()
            return process

        yield started


@contextlib.asynccontextmanager
async def proxied(api_url: str, *, says: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """A client that comes through a reverse proxy, which adds who asks as proxies do (or, `says=False`, does not)."""

    async def forward(request: web.Request) -> web.Response:
        headers = request.headers.copy()
        if says:
            before = headers.get("X-Forwarded-For")
            headers["X-Forwarded-For"] = f"{before}, {VISITOR}" if before else VISITOR
            headers["X-Forwarded-Proto"] = "https"
            headers["X-Forwarded-Host"] = request.host
        asked = session.request(request.method, f"{api_url}{request.path_qs}", headers=headers, data=request.content)
        async with asked as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            async with httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False, timeout=90) as client:
                yield client
        finally:
            await runner.cleanup()


async def test_a_named_proxy_is_believed_about_who_asks(start: Callable[..., Process]) -> None:
    process = start(RETOUCH_API__TRUSTED_PROXIES="127.0.0.1")
    async with proxied(process.url) as visitor:
        forged = {"X-API-Key": "wrong", "X-Forwarded-For": "203.0.113.9", "Host": "evil.example"}
        assert (await visitor.get("/v1/edits", headers=forged)).status_code == 401
        assert (await visitor.get("/metrics")).status_code == 401
        accepted = await visitor.post("/v1/edits", json=BODY, headers={"X-API-Key": KEY, "Host": "evil.example"})
        assert accepted.headers["location"].startswith(f"{process.url}/v1/edits/")
        assert "evil" not in accepted.text
    assert "server" not in process.alive.headers
    (refused,) = process.lines("request.unauthorized")
    assert (refused["client"], refused["route"]) == (VISITOR, "/v1/edits")


async def test_nobody_else_is(start: Callable[..., Process]) -> None:
    process = start(RETOUCH_API__TRUSTED_PROXIES="10.0.0.0/8")
    async with proxied(process.url) as visitor:
        assert (await visitor.get("/v1/edits", headers={"X-API-Key": "wrong"})).status_code == 401
        assert (await visitor.get("/metrics")).status_code == 401
    (refused,) = process.lines("request.unauthorized")
    assert refused["client"] == "127.0.0.1"


@pytest.mark.parametrize("named", ["127.0.0.1", "127.0.0.5/8", "*"])
async def test_a_named_proxy_is_not_this_machine_even_if_it_keeps_silent(
    start_api: Callable[..., Api], named: str
) -> None:
    api = start_api(RETOUCH_API__TRUSTED_PROXIES=named)
    async with proxied(api.url, says=False) as visitor:
        host = {"Host": f"127.0.0.1:{api.settings.api.port}"}
        assert (await visitor.get("/metrics", headers=host)).status_code == 401
        assert (await visitor.get("/metrics", headers=host | {"X-API-Key": KEY})).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("localhost:8000", 200), ("[::1]:8000", 200), ("evil.example", 401), ("127.0.0.1.evil", 401)],
)
def test_a_name_that_somebody_pointed_at_this_machine_opens_nothing(
    public_client: httpx.Client, host: str, status: int
) -> None:
    assert public_client.get("/metrics", headers={"Host": host}).status_code == status


# --- browsers


PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}


def test_no_origin_may_call_unless_it_is_named(api: Api) -> None:
    answer = api.client.options("/v1/edits", headers=PREFLIGHT)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    read = api.client.get("/v1/edits", headers={"Origin": "https://app.example.com"})
    assert not [name for name in (answer.headers.keys() | read.headers.keys()) if name.startswith("access-control-")]


def test_a_named_origin_may_send_what_the_api_takes(start_api: Callable[..., Api]) -> None:
    api = start_api(RETOUCH_API__CORS_ORIGINS="https://app.example.com,https://b.example")
    wanted = "authorization,x-api-key,content-type,idempotency-key,prefer,request-id,range"
    answer = api.client.options("/v1/edits", headers=PREFLIGHT | {"Access-Control-Request-Headers": wanted})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    refused = api.client.options("/v1/edits", headers=PREFLIGHT | {"Origin": "https://app.example.com.evil"})
    assert "access-control-allow-origin" not in refused.headers


def test_a_page_can_read_errors_too(start_api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch) -> None:
    api = start_api(RETOUCH_API__CORS_ORIGINS="https://app.example.com")

    async def breaks(*_asked: object) -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(api.app.state.parts.service, "get", breaks)
    origin = {"Origin": "https://app.example.com"}
    unforeseen = api.client.get("/v1/edits/edit_01J00000000000000000000000", headers=origin)
    too_large = api.client.get("/v1/edits", headers=origin | {"Range": "bytes=" + "1" * 40_000})
    without_key = httpx.get(f"{api.url}/v1/edits", headers=origin, timeout=90, trust_env=False)
    assert [answer.status_code for answer in (unforeseen, without_key, too_large)] == [503, 401, 431]
    for answer in (unforeseen, without_key, too_large):
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
        assert answer.json()["request_id"] == answer.headers["request-id"]


def test_a_connection_is_kept_longer_than_proxies_keep_theirs() -> None:
    command = programs.api(load({}, dotenv=None))
    assert command[command.index("--timeout-keep-alive") + 1] == "75"
    assert command[command.index("--http") + 1] == "api.server:Protocol"
