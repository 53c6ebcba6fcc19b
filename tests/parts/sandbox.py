"""The Qubico sandbox on a real loopback port: one server thread a session, a fresh state each test.

`sandbox` begins without rate limits, with runs of hundredths of a second and 64x64 pictures. `run_sandbox(**options)`
is a server more, with these quick options and the given ones on top.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from qubico.sandbox.app import create_app
from qubico.sandbox.options import SandboxOptions

QUICK: dict[str, Any] = {
    "latency": 0.05,
    "latency_sigma": 0.1,
    "wait": 0.01,
    "history_lag": 0.0,
    "callback_interval": 0.1,
    "paint": "small",
}


class Sandbox:
    """Client of a running sandbox. Calls block and need no event loop."""

    def __init__(self, *, port: int, api_key: str, stop: Callable[[], None]) -> None:
        self.stop = stop
        self.host = f"127.0.0.1:{port}"
        self.base_url = f"http://{self.host}"
        self.api_key = api_key
        self._http = httpx.Client(base_url=f"{self.base_url}/sandbox", timeout=90, trust_env=False)

    def options(self, **patch: Any) -> dict[str, Any]:
        """Changes these options; returns all options."""
        return self._call("PATCH", "/options", patch)

    def reset(self, **patch: Any) -> dict[str, Any]:
        """Deletes all state and restores the first options, with these changes."""
        return self._call("POST", "/reset", patch)

    def ledger(self) -> dict[str, Any]:
        return self._call("GET", "/ledger")

    def stats(self) -> dict[str, Any]:
        return self._call("GET", "/stats")

    def advance(self, seconds: float) -> None:
        self._call("POST", "/clock", {"advance": seconds})

    def now(self) -> float:
        moment: float = self._call("GET", "/clock")["now"]
        return moment

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._http.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()
        return data


@contextmanager
def run_sandbox(**options: Any) -> Iterator[Sandbox]:
    """A sandbox of its own, with the quick options of tests and these on top."""
    chosen = SandboxOptions(**{**QUICK, **options})
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(chosen), log_config=None, ws="none", timeout_graceful_shutdown=0)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until = time.monotonic() + 90
        while not server.started and time.monotonic() < until and thread.is_alive():
            time.sleep(0.01)
        assert server.started, "the sandbox did not start"

        def stop() -> None:
            for connection in list(server.server_state.connections):  # one that hangs would be left open with the loop
                connection.loop.call_soon_threadsafe(connection.transport.abort)
            server.should_exit = True
            thread.join(90)
            assert not thread.is_alive(), "the sandbox did not stop"

        sandbox = Sandbox(port=listener.getsockname()[1], api_key=chosen.api_key.split(",")[0], stop=stop)
        try:
            yield sandbox
        finally:
            sandbox.close()
            stop()


@pytest.fixture(scope="session")
def _sandbox_server() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def sandbox(_sandbox_server: Sandbox) -> Sandbox:
    _sandbox_server.reset()
    return _sandbox_server
