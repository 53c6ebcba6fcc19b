"""Ports for servers of tests. A port is given once a session, and to one process of the run.

They lie below the range from which systems draw the ports of clients, so that between the giving and the listening no
connection of anybody's takes one.
"""

import os
import secrets
import socket

LOWEST, HIGHEST = 10_000, 32_000
GRPC_OFFSET = 10_000
"""Each HTTP port of SeaweedFS's server opens a second one this far above it."""

_PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
_SHARE = 16 if _PROCESS else 1
"""Each of the processes side by side has every sixteenth port; as 16 divides `GRPC_OFFSET`, a pair is of one."""
_given: set[int] = set()


def free_port() -> int:
    return _free()


def free_pair() -> int:
    """Free together with its partner `GRPC_OFFSET` above."""
    return _free(0, GRPC_OFFSET)


def _free(*beside: int) -> int:
    while True:
        lowest = LOWEST + secrets.randbelow(HIGHEST - LOWEST - max(beside, default=0))
        ports = {lowest + more for more in beside or (0,)}
        if all(
            port % _SHARE == int(_PROCESS or 0) % _SHARE and port not in _given and _is_free(port) for port in ports
        ):
            _given.update(ports)
            return lowest


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
