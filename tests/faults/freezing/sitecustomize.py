"""Put on the path of one worker: it stops itself (SIGSTOP) the first time it comes to the point named by FREEZE_AT.

Nothing else is changed. The points are where a create stands between the claim and the commit of its task.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import aiohttp

from edits.db.outcomes import Outcomes
from edits.db.scripts import Script
from edits.db.sender import Scripts
from qubico import transport
from workers.steps.submit import Submit

POINTS = ("claim_answered", "before_request", "before_connect", "connection_in_hand", "post_left", "before_commit")


class _Once:
    stopped = False


def _stop() -> None:
    """Sent to this thread: a signal to the process stops another thread first, and this one runs on past the point."""
    if not _Once.stopped:
        _Once.stopped = True
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def _before(owner: Any, name: str) -> None:
    original = getattr(owner, name)

    async def stopping(*args: Any, **named: Any) -> Any:
        _stop()
        return await original(*args, **named)

    setattr(owner, name, stopping)


def _claim_answered() -> None:
    """Redis has carried the claim out; its reply is not looked at."""
    original = Scripts.run

    async def stopping(self: Scripts, script: Script[Any], /, **arguments: Any) -> Any:
        answer = await original(self, script, **arguments)
        if script.name == "claim_submit" and answer["claims"]:
            _stop()
        return answer

    Scripts.run = stopping


def _before_request() -> None:
    _before(Submit, "_request")


def _before_connect() -> None:
    _before(aiohttp.TCPConnector, "_create_connection")


def _connection_in_hand() -> None:
    _before(transport, "_check_gate")


def _post_left() -> None:
    """The provider has it; its answer is not looked at."""
    original = aiohttp.ClientResponse.start

    async def stopping(self: aiohttp.ClientResponse, connection: Any) -> Any:
        if self.method == "POST" and not _Once.stopped:
            await asyncio.sleep(0.05)  # for the body to leave
            _stop()
        return await original(self, connection)

    aiohttp.ClientResponse.start = stopping


def _before_commit() -> None:
    _before(Outcomes, "bought")


_AT: dict[str, Callable[[], None]] = {
    "claim_answered": _claim_answered,
    "before_request": _before_request,
    "before_connect": _before_connect,
    "connection_in_hand": _connection_in_hand,
    "post_left": _post_left,
    "before_commit": _before_commit,
}

if os.environ.get("FREEZE_AT"):
    _AT[os.environ["FREEZE_AT"]]()
