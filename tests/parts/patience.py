"""Raises the Redis time limits of this process, so that a loaded machine fails no test.

A test that withholds replies passes a limit of its own, or uses the limits of the product (`own_patience`).
"""

import pytest

from edits import service
from edits.db import admission, connection
from workers import clients

LONG = 90.0
"""Seconds; an upper bound of a wait that ends with success costs nothing."""

_OWN = [
    (module, name, getattr(module, name))
    for module, name in (
        (connection, "SOCKET_TIMEOUT"),
        (connection, "CONNECT_TIMEOUT"),
        (connection, "CALL_TIMEOUT"),
        (service, "ANSWER_WITHIN"),
        (admission, "LOOKS_WITHIN"),
        (clients, "SOCKET_TIMEOUT"),
    )
]

for _module, _name, _ in _OWN:
    setattr(_module, _name, LONG)


@pytest.fixture
def own_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in _OWN:
        monkeypatch.setattr(module, name, seconds)
