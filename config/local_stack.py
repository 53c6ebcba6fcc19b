"""Finds the running `up` of a data dir by its `up.json`, and loads settings with its values as defaults."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from config.errors import Fault, SettingsError
from config.settings import Settings, load

FILE_NAME = "up.json"
Service = Literal["api", "worker", "flower"]

_SHARED = ("RETOUCH_SECRET_KEY", "RETOUCH_QUBICO__BASE_URL", "RETOUCH_QUBICO__API_KEY")
_NEEDS: Mapping[Service, tuple[str, ...]] = {
    "api": (*_SHARED, "RETOUCH_API__ADMIN_KEY"),
    "worker": _SHARED,
    "flower": ("RETOUCH_FLOWER__PASSWORD",),
}


class Up(BaseModel):
    """A running `up`: where to reach it, and the settings of its services."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    pid: int
    started: str = ""  # start time of the process, because pids are reused
    api_url: str
    api_key: str
    flower_url: str | None = None
    sandbox_url: str | None = None
    environment: dict[str, str] = {}  # RETOUCH_* values by name


def announce(data_dir: Path, up: Up) -> None:
    """Writes `up.json`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    marked = up.model_copy(update={"started": up.started or _started(up.pid)})
    write_private(data_dir / FILE_NAME, marked.model_dump_json(indent=1))


def write_private(path: Path, text: str) -> None:
    """Writes the file atomically with mode 0600, because it holds keys."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def withdraw(data_dir: Path, *, pid: int) -> None:
    """Removes `up.json` if it belongs to this pid."""
    if (found := _parse(data_dir)) and found.pid == pid:
        (data_dir / FILE_NAME).unlink(missing_ok=True)


def find(data_dir: Path) -> Up | None:
    """The `up` that runs in this folder; None if there is none."""
    found = _parse(data_dir)
    return found if found is not None and found.started and _started(found.pid) == found.started else None


def load_for_process(
    service: Service, *, environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")
) -> Settings:
    """Settings of a server process, with those of a running `up` as defaults if there is no RETOUCH_REDIS_URL.

    Raises SettingsError if a setting that `service` needs is missing.
    """
    settings = load(environ, dotenv)
    if settings.redis_url is None:
        up = find(settings.data_dir)
        if up is None:
            problem = f"set RETOUCH_REDIS_URL or start `retouch up` (none is running in {settings.data_dir})"
            raise SettingsError([Fault("RETOUCH_REDIS_URL", "not set", problem)])
        settings = load(environ, dotenv, beneath=[(f"up of {settings.data_dir}", up.environment)])
    present = {row.name for row in settings.describe() if row.value}
    missing = [name for name in _NEEDS[service] if name not in present]
    if missing:
        raise SettingsError(
            Fault(name, "not set", "required by this process; only `up` generates it") for name in missing
        )
    if environ is None:
        # The storage client reads AWS_* and similar names only from the environment.
        os.environ.update(settings.storage_environment)
    return settings


def _parse(data_dir: Path) -> Up | None:
    try:
        return Up.model_validate_json((data_dir / FILE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def _started(pid: int) -> str:
    """Start time of a process, in kernel ticks or, without /proc, in the format of `ps`; empty after its end."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _by_ps(pid)
    return text.rpartition(")")[2].split()[19]  # the 22nd field, counted after the name in brackets


def _by_ps(pid: int) -> str:
    command = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
    done = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, text=True, check=False)  # noqa: S603 - a number
    return done.stdout.strip()
