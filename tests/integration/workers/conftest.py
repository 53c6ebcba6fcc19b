"""The steps on a real repository, the sandbox over its socket, and a folder as storage."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings, load
from tests.integration.workers.rounds import Rounds
from tests.parts.sandbox import Sandbox
from workers.clients import open_clients

SECRET = "a-secret-of-thirty-two-bytes-or-more"
STEADY: Mapping[str, Any] = {"latency": 4.0, "wait": 1.0, "latency_sigma": 0.0, "paint": "plain"}
"""Every task waits one second and runs for four, so that tests are predictable."""

OpenRounds = Callable[..., AbstractAsyncContextManager[Rounds]]


def environment(redis_url: str, sandbox: Sandbox, folder: Path) -> dict[str, str]:
    """Settings with ceilings that never bind; a test may lower them."""
    return {
        "RETOUCH_REDIS_URL": redis_url,
        "RETOUCH_DATA_DIR": str(folder),
        "RETOUCH_SECRET_KEY": SECRET,
        "RETOUCH_QUBICO__BASE_URL": sandbox.base_url,
        "RETOUCH_QUBICO__API_KEY": sandbox.api_key,
        "RETOUCH_QUBICO__RESULT_HOSTS": sandbox.host,
        "RETOUCH_QUBICO__CREATES_PER_SECOND": "1000",
        "RETOUCH_QUBICO__READS_PER_SECOND": "1000",
        "RETOUCH_QUBICO__MAX_IN_FLIGHT": "1000",
    }


def with_leases(settings: Settings, **seconds: float) -> Settings:
    """Shorter time limits than the table's, for a test that reaches them."""
    update = {name: timedelta(seconds=value) for name, value in seconds.items()}
    return settings.model_copy(update={"leases": settings.leases.model_copy(update=update)})


@pytest.fixture
def settings_with(redis_url: str, sandbox: Sandbox, tmp_path: Path) -> Callable[..., Settings]:
    def made(**changes: str) -> Settings:
        return load(environment(redis_url, sandbox, tmp_path) | changes, dotenv=None)

    return made


@pytest.fixture
def open_rounds(settings_with: Callable[..., Settings], sandbox: Sandbox) -> OpenRounds:
    """`async with open_rounds(leases={"create_timeout": 0.5}, RETOUCH_QUBICO__REBUY_FAILED="1") as rounds`."""
    sandbox.options(**STEADY)

    @contextlib.asynccontextmanager
    async def opened(leases: Mapping[str, float] | None = None, **changes: str) -> AsyncIterator[Rounds]:
        async with open_clients(with_leases(settings_with(**changes), **(leases or {}))) as clients:
            rounds = Rounds(clients, sandbox)
            yield rounds
            await rounds.hold()

    return opened


@pytest.fixture
async def rounds(open_rounds: OpenRounds) -> AsyncIterator[Rounds]:
    async with open_rounds() as opened:
        yield opened


@pytest.fixture
def environ(redis_url: str, sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    sandbox.options(latency=0.05, wait=0.01, paint="plain")
    return environment(redis_url, sandbox, tmp_path)


@pytest.fixture
def quick(rounds: Rounds) -> Rounds:
    """Tasks end within hundredths of a second; for chains, which use the real clock."""
    rounds.sandbox.options(latency=0.05, wait=0.01)
    return rounds
