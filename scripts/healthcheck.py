"""The health check of a container, which also ends what hangs: compose restarts what ended, never what is unhealthy.

python -IS healthcheck.py LIVE [READY]: 0 where both addresses answer 200. Where LIVE did not for the third time in a
row, what the container's init started is killed; the init then ends, and the restart policy starts the container again.
PID 1 itself takes no SIGKILL from inside, so the service needs `init: true`.
"""

import argparse
import os
import signal
import sys
import urllib.request
from pathlib import Path

MISSES = 3
ANSWER_WITHIN = 2.0  # seconds
OLD_ENOUGH = 60.0  # seconds; a part that starts has its time for it


def main() -> int:
    asked = argparse.ArgumentParser()
    asked.add_argument("live")
    asked.add_argument("ready", nargs="?")
    asked.add_argument("--init", type=int, default=1, help="pid of the init")
    asked.add_argument("--kept", type=Path, default=Path("/tmp/missed"), help="where misses are counted")  # noqa: S108
    asked.add_argument("--old-enough", type=float, default=OLD_ENOUGH)
    given = asked.parse_args()
    if answers(given.live):
        given.kept.unlink(missing_ok=True)
        return 0 if given.ready is None or answers(given.ready) else 1
    hung = [pid for pid in children_of(given.init) if age(pid) >= given.old_enough]
    missed = 1 + (len(given.kept.read_bytes()) if given.kept.exists() else 0)
    if hung:
        given.kept.write_bytes(b"." * missed)
    if hung and missed >= MISSES:
        given.kept.unlink()
        for pid in hung:
            os.kill(pid, signal.SIGKILL)
        sys.stdout.write(f"{given.live} did not answer {missed} times in a row: killed {hung}\n")
    return 1


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_WITHIN) as answer:  # noqa: S310 - the compose file's own
            return bool(answer.status == 200)
    except OSError:
        return False


def children_of(parent: int) -> list[int]:
    """Not those of `docker exec`, this script among them: their parent is outside."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if fields(int(path.name))[1:2] == [str(parent)]]


def age(pid: int) -> float:
    started = fields(pid)[19:20]
    up = float(Path("/proc/uptime").read_text().split()[0])
    return up - int(started[0]) / os.sysconf("SC_CLK_TCK") if started else 0.0


def fields(pid: int) -> list[str]:
    """Of /proc/PID/stat, from the state on; none if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
