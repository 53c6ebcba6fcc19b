"""Waits until a started server answers, exits, or exceeds the time limit."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

READY_WITHIN = 90.0
"""Seconds; a second or two are usual."""


def until_ready(process: "subprocess.Popen[Any]", answers: Callable[[], bool], *, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until and process.poll() is None:
        if answers():
            return
        time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"{process.args} did not get ready, see {log}")


def answers(url: str) -> bool | None:
    """Whether the status is a success; None without a response."""
    try:
        return httpx.get(url, timeout=1, trust_env=False).is_success
    except httpx.TransportError:
        return None
