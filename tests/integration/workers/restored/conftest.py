"""Each test has its own server, which dies and comes back with older data."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.workers.conftest import OpenRounds
from tests.integration.workers.rounds import Rounds
from tests.parts.valkey import OwnServer


@pytest.fixture
def redis_url(own_server: OwnServer) -> str:
    return own_server.url


@pytest.fixture
async def other(open_rounds: OpenRounds) -> AsyncIterator[Rounds]:
    """A second worker process."""
    async with open_rounds() as opened:
        yield opened
