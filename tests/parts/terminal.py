"""Runs a program on a pseudo-terminal and reads its screen."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping

from tests.parts.stack import PROGRAM

WITHIN = 90.0  # seconds


def at_terminal(
    *arguments: str,
    folder: str | os.PathLike[str],
    environ: Mapping[str, str],
    until: bytes,
    then: signal.Signals | None = None,
    size: tuple[int, int] = (30, 120),
) -> tuple[int, bytes]:
    """Exit code and output of a `retouch` command. Sends the signal `then` when `until` appears."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    colours = {name: value for name, value in environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        [*PROGRAM, *arguments], cwd=folder, env=colours,
        stdin=secondary, stdout=secondary, stderr=secondary, start_new_session=True,
    )  # fmt: skip
    os.close(secondary)
    shown = b""
    ends = time.monotonic() + WITHIN
    try:
        while piece := _read(primary, until=ends):
            shown += piece
            if then is not None and until in shown:
                process.send_signal(then)
                then = None
        assert until in shown, shown
        return process.wait(WITHIN), shown
    finally:
        os.close(primary)
        if process.poll() is None:
            process.kill()
            process.wait()


def _read(screen: int, *, until: float) -> bytes:
    """Empty when the program or the time has ended."""
    if not select.select([screen], [], [], max(until - time.monotonic(), 0))[0]:
        return b""
    try:
        return os.read(screen, 65536)
    except OSError:  # the other side was closed: the program has ended
        return b""
