"""Settings of all tests. Fixtures of real services (Valkey, S3, …) are in `tests/parts`, one module each."""

import functools
import gc
import os
import signal
from pathlib import Path

import pytest
import structlog
from httpx._transports import default
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# The time of an example measures the machine, not the code.
settings.register_profile("machine", deadline=None)
settings.load_profile("machine")

# By default structlog prints all variables of all frames of an error: seconds of CPU for each provoked error.
_plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _plain])

# Each process would read all root certificates as it starts, 50 ms of CPU. Tests start hundreds and stay on this host.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "fixtures" / "root.pem")
# Each client would, too; tests make thousands of clients.
default.create_ssl_context = functools.cache(default.create_ssl_context)

# A shell starts background jobs with SIGINT ignored; programs that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

STACK = tuple(f"tests/e2e/test_{name}.py" for name in ("edit_command", "guide", "pages", "program", "up"))
"""They share one `retouch up` (the fixture `stack`), so one process runs them all: a further `up` costs 3 s of CPU to
start, and as much again while it stands idle."""
LONG = tuple(
    f"tests/integration/workers/test_{name}.py" for name in ("left_alone", "chains", "stalls", "worker_process")
)
SLOW = (STACK, "tests/faults", LONG, "tests/e2e", "tests/integration/cli", "tests/integration/workers")
"""Their files start many processes and wait for them, the first for longest."""
TAIL = 0.2  # of all files: quick ones, so that no process is left with a slow file while the others have ended

# What is collected stays: looking for garbage in it again and again would be a fifth of the time.
gc.disable()

pytest_plugins = [
    "tests.parts.valkey", "tests.parts.s3", "tests.parts.azure", "tests.parts.sandbox", "tests.parts.stack",
    "tests.parts.browser", "tests.parts.patience",
]  # fmt: skip


def pytest_collection_finish() -> None:
    """Thousands of items stay to the end: the garbage collector need not look through them again and again."""
    gc.freeze()
    gc.enable()


class Together(LoadFileScheduling):
    """A file's tests stay in one process, and so do the files of `STACK`."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "stack" if file in STACK else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together | None:
    return Together(config, log) if config.getoption("dist") == "loadfile" else None


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
