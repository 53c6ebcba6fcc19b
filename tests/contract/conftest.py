"""A request to buy, a client of the shape every contract test uses, and the real service for `make test-live`."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from qubico.client import QubicoClient
from qubico.schemas import KontextRequest
from tests.contract import live as real
from tests.contract.learned import Learned

LIVE = real.asked(os.environ)
collect_ignore = [] if LIVE else ["test_live.py"]

API_KEY = "key-that-must-not-be-shown"


@pytest.fixture
def request_to_buy() -> KontextRequest:
    return KontextRequest(
        prompt="make the sky stormy",
        image="https://files.example.com/in/01J9Z.png?sig=secret-address",
        width=1216,
        height=832,
        steps=28,
        seed=184467,
        webhook_endpoint="https://hooks.example.com/v1/callbacks/qubico/tok_01J9Z",
        webhook_secret="s3cr3t-echoed",
    )


@pytest.fixture
def client_of() -> Callable[..., QubicoClient]:
    def build(base_url: str, **options: Any) -> QubicoClient:
        patient = {"create_timeout": 60.0, "read_timeout": 60.0, "download_timeout": 60.0}
        return QubicoClient(base_url=base_url, api_key=API_KEY, **patient | options)

    return build


# --- the real service


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "buys: creates tasks at the provider, which cost money on the real service")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is free is asked first."""
    if LIVE:
        items.sort(key=lambda item: item.get_closest_marker("buys") is not None)


@pytest.fixture(scope="session")
def live() -> real.Live:
    return real.from_environment(os.environ)


@pytest.fixture(scope="session")
def purse(live: real.Live) -> real.Purse:
    return real.Purse(live.cap)


@pytest.fixture(scope="session")
def learned(live: real.Live, purse: real.Purse) -> Learned:
    return Learned(live, purse)
