"""Put on the path of one worker: it reads the history in short windows, and stops (SIGSTOP) between two of them."""

import os
import signal

from edits.recovery.restoring import Doubt, Restoring
from workers.adoption import history


async def _stopping(self: Restoring, doubt: Doubt, upto: int) -> bool:
    """Redis has kept how far it is; its answer is not looked at."""
    await _settle(self, doubt, upto)
    os.kill(os.getpid(), signal.SIGSTOP)
    raise AssertionError("it was to be killed")


_settle = Restoring.settle
if "STOPS_AFTER_PAGES" in os.environ:
    history.MOST_PAGES = int(os.environ["STOPS_AFTER_PAGES"])
    Restoring.settle = _stopping
