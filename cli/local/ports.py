"""Ports of local services: the next free port replaces a taken one, unless the port is set."""

import errno
import fcntl
import os
import socket
import tempfile
from pathlib import Path

from cli.errors import WrongUsage

TRIES = 200  # ports tried after the preferred one


class Ports:
    """Claims ports for the life of this process, so that programs that start together get different ones."""

    def __init__(self, *, claims: Path | None = None) -> None:
        self._claims = claims or Path(tempfile.gettempdir()) / f"retouch-ports-{os.getuid()}"
        self._claims.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._held: list[int] = []

    def take(self, preferred: int, *, setting: str, movable: bool, host: str = "127.0.0.1") -> int:
        """The preferred port, or the next free one if it may move."""
        last = min(preferred + TRIES, 65_535) if movable else preferred
        problem = None
        for port in range(preferred, last + 1):
            problem = why_not(host, port)
            if problem is None and self._claim(port):
                return port
        raise WrongUsage(f"port {preferred} on {host} {problem or 'is taken'}; set {setting} to another one")

    def any(self) -> int:
        """A free port chosen by the system."""
        for _ in range(TRIES):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if self._claim(port):
                return port
        raise WrongUsage("no free port on 127.0.0.1")

    def release(self) -> None:
        for held in self._held:
            os.close(held)
        self._held.clear()

    def _claim(self, port: int) -> bool:
        held = os.open(self._claims / str(port), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            return False
        self._held.append(held)
        return True


def unclaimed() -> int:
    """A free port, unclaimed, for a service to bind."""
    ports = Ports()
    try:
        return ports.any()
    finally:
        ports.release()


def why_not(host: str, port: int) -> str | None:
    """Why the port cannot be bound; None if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, so that TIME_WAIT does not count
        try:
            probe.bind((host, port))
        except OSError as error:
            return "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
    return None
