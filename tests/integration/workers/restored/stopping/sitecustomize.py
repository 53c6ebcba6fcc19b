"""Put on the path of one worker: it reads the provider's history in short windows and stops (SIGSTOP) between two."""

import os
import signal
import threading

from edits.recovery.restoring import Doubt, Restoring
from workers.adoption import history


async def _stopping(self: Restoring, doubt: Doubt, upto: int) -> bool:
    """Redis has stored the progress; the worker never sees the reply.

    A signal to the process would stop another thread first, and this one would run on.
    """
    await _settle(self, doubt, upto)
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    raise AssertionError("it was to be killed")


_settle = Restoring.settle
if "STOPS_AFTER_PAGES" in os.environ:
    history.MOST_PAGES = int(os.environ["STOPS_AFTER_PAGES"])
    Restoring.settle = _stopping
