"""What every ring of tests shares: the real parts (Valkey, S3, the sandbox, …), one module each in `tests/parts`."""

import functools

import pytest
import structlog
from httpx._transports import default
from hypothesis import settings

# How long an example takes tells more of the machine than of the code.
settings.register_profile("machine", deadline=None)
settings.load_profile("machine")

# Unconfigured, structlog draws every variable of every frame of an error: seconds of CPU for one that a test provokes.
_plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _plain])

# Each client would read the certificates of the world, which takes 20 ms of CPU; thousands of clients are made.
default.create_ssl_context = functools.cache(default.create_ssl_context)

LONG = ("tests/e2e", "tests/integration/workers", "tests/integration/api", "tests/integration/cli", "tests/integration")

pytest_plugins = [
    "tests.parts.valkey", "tests.parts.s3", "tests.parts.azure", "tests.parts.sandbox", "tests.parts.stack",
    "tests.parts.browser", "tests.parts.patience",
]  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no process is left with them while the others have ended."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """What kills processes, then the files that start most of them; the quick rings fill the gaps at the end."""
    if item.get_closest_marker("fault") is not None:
        return 0
    return next((place for place, ring in enumerate(LONG, 1) if item.nodeid.startswith(ring)), len(LONG) + 1)
