"""What a figure was measured on: enough to judge it by, and no name of a host or a path."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from cli.local.programs import valkey_binary

PACKAGES: Final = ("aiohttp", "celery", "fastapi", "httpx", "obstore", "pydantic", "redis", "uvloop")


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "model": _model(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "valkey": _version(valkey_binary()),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "busy_before": round(os.getloadavg()[0], 1),
    }


def sentence(told: dict[str, Any]) -> str:
    return (
        f"{told['cores']} cores of {told['model']}, {told['system']}, Python {told['python']}, "
        f"Valkey {told['valkey']}; load before the run {told['busy_before']}"
    )


def _model() -> str:
    told = Path("/proc/cpuinfo")
    if told.exists():
        lines = told.read_text().splitlines()
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return platform.processor() or "unknown"


def _version(binary: str) -> str:
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10)
    return next((word[2:] for word in told.stdout.split() if word.startswith("v=")), "unknown")
