"""How processes find the `up` of their data folder: it leaves `up.json`, readable by its owner alone; they join it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from config.errors import Fault, SettingsError
from config.settings import Settings, load

FILE_NAME = "up.json"
Part = Literal["api", "worker", "flower"]

_SHARED = ("RETOUCH_SECRET_KEY", "RETOUCH_QUBICO__BASE_URL", "RETOUCH_QUBICO__API_KEY")
_NEEDS: Mapping[Part, Iterable[str]] = {
    "api": (*_SHARED, "RETOUCH_API__ADMIN_KEY"),
    "worker": _SHARED,
    "flower": ("RETOUCH_FLOWER__PASSWORD",),
}


class Up(BaseModel):
    """A running `up`: where to reach it, and the settings that it made for its parts."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    pid: int
    started: str = ""  # when that process began, so that a reused pid is not taken for it
    api_url: str
    api_key: str
    flower_url: str | None = None
    sandbox_url: str | None = None
    environment: dict[str, str] = {}  # every RETOUCH_* value that it made, by name

    @property
    def alive(self) -> bool:
        return bool(self.started) and _started(self.pid) == self.started


def announce(data_dir: Path, up: Up) -> Path:
    """Write `up.json` whole or not at all; it holds keys, so nobody else may read it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    marked = up.model_copy(update={"started": up.started or _started(up.pid)})
    handle, written = tempfile.mkstemp(dir=data_dir, prefix=f".{FILE_NAME}.")  # created with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(marked.model_dump_json(indent=1))
            stream.flush()
            os.fsync(stream.fileno())
        Path(written).replace(data_dir / FILE_NAME)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise
    return data_dir / FILE_NAME


def withdraw(data_dir: Path, *, pid: int) -> None:
    """Remove `up.json` if it is this process's own."""
    found = _parse(data_dir)
    if found is not None and found.pid == pid:
        (data_dir / FILE_NAME).unlink(missing_ok=True)


def find(data_dir: Path) -> Up | None:
    """The `up` that runs on this folder, or None: no file, an unreadable one, or its process is gone."""
    found = _parse(data_dir)
    return found if found is not None and found.alive else None


def load_for_process(
    part: Part | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
) -> Settings:
    """The settings of a server process: its own, or beneath them those of the `up` it joins.

    All that `part` needs is set, or this raises; without `part`, all that the API needs.
    """
    settings = load(environ, dotenv)
    if settings.redis_url is None:
        up = find(settings.data_dir)
        if up is None:
            problem = f"set RETOUCH_REDIS_URL or start `retouch up` (none is running in {settings.data_dir})"
            raise SettingsError([Fault("RETOUCH_REDIS_URL", "not set", problem)])
        settings = load(environ, dotenv, beneath=[(f"up of {settings.data_dir}", up.environment)])
    missing = [name for name in _needed(part) if not _is_set(settings, name)]
    if missing:
        raise SettingsError(
            Fault(name, "not set", "this process needs it; only `up` makes its own") for name in missing
        )
    if environ is None:
        # The storage's own client reads AWS_* and the like from the environment alone; `.env` may hold them too.
        for name, value in settings.storage_environment.items():
            if not os.environ.get(name):
                os.environ[name] = value
    return settings


def _needed(part: Part | None) -> tuple[str, ...]:
    return tuple(_NEEDS[part] if part else _NEEDS["api"])


def _is_set(settings: Settings, name: str) -> bool:
    return any(row.name == name and row.value for row in settings.describe())


def _parse(data_dir: Path) -> Up | None:
    try:
        return Up.model_validate_json((data_dir / FILE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def _started(pid: int) -> str:
    """When a process began: in the kernel's ticks, or, where there is no /proc, as `ps` says it. Empty: it is gone."""
    if not Path("/proc/self/stat").exists():
        return _told_by_ps(pid)
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]  # the 22nd field, counted after the name in brackets


def _told_by_ps(pid: int) -> str:
    command = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
    told = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, text=True, check=False)  # noqa: S603 - a number
    return told.stdout.strip()
