"""A server that was just started is waited for: until it answers, ends by itself, or has had its time."""

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
    """Whether the answer is a good one; None: there is none."""
    try:
        return httpx.get(url, timeout=1, trust_env=False).is_success
    except httpx.TransportError:
        return None
