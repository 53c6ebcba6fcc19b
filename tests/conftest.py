"""What every ring of tests shares: the real parts (Valkey, S3, the sandbox, …), one module each in `tests/parts`."""

import functools
import signal

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

# A run in the background starts with SIGINT ignored, and so would the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

SLOW = ("tests/faults", "tests/e2e", "tests/integration/workers", "tests/integration/cli")
"""Their files start many processes and wait for them, the first for longest."""
TAIL = 0.2  # of all files: quick ones, so that no process is left with a slow file while the others have ended

pytest_plugins = [
    "tests.parts.valkey", "tests.parts.s3", "tests.parts.azure", "tests.parts.sandbox", "tests.parts.stack",
    "tests.parts.browser", "tests.parts.patience",
]  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick files stand between the slow ones: some processes use the cores while others wait."""
    files: dict[str, int] = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        files.setdefault(file, min((place for place, ring in enumerate(SLOW) if file.startswith(ring)), default=-1))
    slow = sorted((file for file, place in files.items() if place >= 0), key=files.__getitem__)
    quick = [file for file, place in files.items() if place < 0]
    turn = {file: (1 - TAIL) * number / len(slow) for number, file in enumerate(slow)}
    turn |= {file: number / len(quick) for number, file in enumerate(quick)}
    items.sort(key=lambda item: turn[item.nodeid.partition("::")[0]])
