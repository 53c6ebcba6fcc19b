"""Processes that only benchmarks start, as parts of a supervisor: the stand-in first. None sees settings of ours."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.provider import Provider
from cli.local import probes
from cli.local.programs import ROOT
from cli.local.supervisor import Service

STARTED_WITHIN: Final = 90.0  # seconds; on a busy machine Python itself takes long


def standin_part(port: int, provider: Provider, *, folder: Path) -> Service:
    return Service(
        name="standin",
        command=(sys.executable, "-m", "benchmarks.standin", str(port), json.dumps(asdict(provider))),
        environment=bare_environ() | {"PYTHONPATH": str(ROOT)},
        ready=probes.http(port, "/counters"),
        order=0,
        start_within=STARTED_WITHIN,
        folder=folder,
    )


def bare_environ() -> dict[str, str]:
    """Our own environment without settings of the product: what is measured is what the question says."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("RETOUCH_", "SANDBOX_", "FLOWER_"))}


def patient(part: Service) -> Service:
    return Service(**{**part.__dict__, "start_within": STARTED_WITHIN, "well": None})
