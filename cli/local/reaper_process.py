"""Ends the parts of a supervisor that was killed: it sits at the other end of a pipe, and the pipe's end is the sign.

Run as a script with the grace in seconds. Reads `+PID ORDER` when a part starts (written by the new process before it
becomes the part, so none is missed) and `-PID` when one ended. At the end of the pipe whatever is left is stopped,
highest order first. Only the standard library and no package of ours: it must outlive everything and cost nothing.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

LOOK_EVERY = 0.05  # seconds between looks at ending processes


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
        end_groups([pid for pid in left if left[pid] == order], grace=float(sys.argv[1]))


def end_groups(groups: list[int], *, grace: float) -> None:
    """SIGTERM to each leader, SIGKILL to what remains of its group once it ended or the grace is over."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(group, signal.SIGTERM)
    until = time.monotonic() + grace
    while any(running(group) for group in groups) and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
    for group in groups:
        kill_group(group)


def running(pid: int) -> bool:
    """Whether the process still runs; one that ended but was not waited for (a zombie) does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:  # no /proc on this system: the signal's answer stands
        return True


def kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
