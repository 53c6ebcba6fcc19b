"""Fair order: the tenant with the lowest virtual time is next (stride scheduling, in `claim_submit.lua`).

Within a tenant edits go by arrival, shifted by priority, so that nothing starves: a bulk edit is one that came an hour
later.
"""

from datetime import timedelta
from typing import Final

from edits.models import Priority

SHIFTS: Final = {
    Priority.INTERACTIVE: timedelta(hours=-1),
    Priority.STANDARD: timedelta(0),
    Priority.BULK: timedelta(hours=1),
}


def arrival_shift(priority: Priority) -> int:
    """Milliseconds added to an edit's arrival."""
    return int(SHIFTS[priority].total_seconds() * 1000)
