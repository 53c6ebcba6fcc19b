"""Ends the services of a supervisor that stops or was killed: the end of its pipe is the signal.

A script; its argument is the grace in seconds. Reads `+PID ORDER` for each start, written by the child before exec, and
`-PID` for each end. At the end of the pipe it ends the remaining services, highest order first. Standard library only.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

LOOK_EVERY = 0.05  # seconds between checks of ending processes


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    left: dict[int, int] = {}
    for line in sys.stdin:
        words = line[1:].split()
        if line[0] == "+":
            left[int(words[0])] = int(words[1])
        else:
            left.pop(int(words[0]), None)
    for order in sorted(set(left.values()), reverse=True):
        end_groups({pid for pid in left if left[pid] == order}, grace=float(sys.argv[1]))


def end_groups(groups: set[int], *, grace: float) -> None:
    """Sends SIGTERM to each leader, then SIGKILL to its group when it has ended or the grace is over."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(group, signal.SIGTERM)
    until = time.monotonic() + grace
    while groups:
        ended = groups if time.monotonic() > until else {group for group in groups if not running(group)}
        for group in ended:
            kill_group(group)
        groups = groups - ended
        time.sleep(LOOK_EVERY if groups else 0)


def running(pid: int) -> bool:
    """Whether the process runs; zombies do not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:  # no /proc on this system
        return True


def kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
