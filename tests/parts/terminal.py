"""A program at a terminal of its own, as a person would see it."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping

from tests.parts.stack import PROGRAM


def at_terminal(
    *arguments: str,
    folder: str | os.PathLike[str],
    environ: Mapping[str, str],
    until: bytes,
    then: signal.Signals | None = None,
    size: tuple[int, int] = (30, 120),
) -> tuple[int, bytes]:
    """The exit code of a `retouch` command and what its screen showed; `then` is sent once `until` has come up."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    colours = {name: value for name, value in environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [*PROGRAM, *arguments], cwd=folder, env=colours,
        stdin=secondary, stdout=secondary, stderr=secondary, start_new_session=True,
    )  # fmt: skip
    os.close(secondary)
    shown = b""
    try:
        while piece := _read(primary):
            shown += piece
            if then is not None and until in shown:
                process.send_signal(then)
                then = None
    finally:
        os.close(primary)
    assert until in shown, shown
    return process.wait(20), shown


def _read(screen: int) -> bytes:
    try:
        return os.read(screen, 65536)
    except OSError:  # the other side was closed: the program has ended
        return b""
