"""A request to buy, and a client of the shape every contract test uses."""

from collections.abc import Callable
from typing import Any

import pytest

from qubico.client import QubicoClient
from qubico.schemas import KontextRequest

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
        patient = {"create_timeout": 5.0, "read_timeout": 5.0, "download_timeout": 5.0}
        return QubicoClient(base_url=base_url, api_key=API_KEY, **patient | options)

    return build
