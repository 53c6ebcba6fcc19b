"""Data dir of an `up`: a lock against a second `up`, and secrets that survive restarts."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cli.errors import WrongUsage
from cli.local.reaper_process import running
from config.local_stack import write_private

LOCK = "up.lock"
SECRETS = "secrets.json"
PORT = "port"
LOOK_EVERY = 0.1  # seconds between tries for the lock


class Secrets(BaseModel):
    """Made once per data dir; settings override them."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    secret_key: str
    admin_key: str
    flower_password: str
    sandbox_key: str


@contextmanager
def locked(folder: Path, *, patience: float = 0.0) -> Iterator[int]:
    """Locks the folder for one `up`, until the last process that has the lock open ends.

    `patience`: seconds to wait for the services of a killed `up` to end. Raises WrongUsage.
    """
    create(folder)
    until = time.monotonic() + patience
    with os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+") as lock:
        while not _is_taken(lock.fileno()):
            lock.seek(0)
            holder = lock.read().strip()
            if (holder.isdecimal() and running(int(holder))) or time.monotonic() > until:
                raise WrongUsage(
                    f"`retouch up` (pid {holder or 'unknown'}) already runs in {folder}; "
                    "stop it, or set RETOUCH_DATA_DIR and RETOUCH_API__PORT for a second one"
                )
            time.sleep(LOOK_EVERY)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield lock.fileno()


def _is_taken(lock: int) -> bool:
    """Whether this process has the lock now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongUsage(f"RETOUCH_DATA_DIR: {folder} cannot be made ({error.strerror}); set another one") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WrongUsage(f"RETOUCH_DATA_DIR: {folder} cannot be written to; set another one")


def keep_secrets(folder: Path) -> Secrets:
    """Returns the secrets of this data dir; the first call makes them. Raises WrongUsage."""
    create(folder)
    path = folder / SECRETS
    try:
        return Secrets.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _make(path)
    except (OSError, ValidationError) as error:
        raise WrongUsage(f"{path} cannot be read; restore it, or remove it to make new secrets") from error


def keep_port(folder: Path, port: int) -> None:
    """Stores the port for the next start."""
    create(folder)
    (folder / PORT).write_text(f"{port}\n")


def kept_port(folder: Path) -> int | None:
    """The stored port; None if there is no valid one."""
    try:
        port = int((folder / PORT).read_text())
    except (OSError, ValueError):
        return None
    return port if 0 < port < 65_536 else None


def _make(path: Path) -> Secrets:
    made = Secrets(
        secret_key=secrets.token_hex(32),
        admin_key=f"rt_{secrets.token_urlsafe(24)}",
        flower_password=secrets.token_urlsafe(12),
        sandbox_key=f"sandbox_{secrets.token_urlsafe(18)}",
    )
    write_private(path, made.model_dump_json(indent=1))
    return made
