"""Values that Python and the Lua scripts share: a script names one as `$NAME`, and the loader writes it out."""

from collections.abc import Collection
from typing import Final

from edits.db import fields
from edits.models import FINAL

FORMAT: Final = 1  # of the records that are written here; a record without `fm` has format 1 (docs/decisions)
HORIZON: Final = 3600 * 1000  # milliseconds; a score further ahead than any snooze means that the clock was set back
UNSEEN: Final = 5000  # ms for which the clock of the server is trusted while nobody looks; the margin of every lease

WAIT_BUCKETS: Final = (50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 3600000)
"""Upper bounds of the histograms in `stats`: ms."""

SERVERS: Final = 16  # servers whose last number is kept (_served.lua)

_SHARED: Final[dict[str, int | Collection[int | str]]] = {
    "FORMAT": FORMAT, "HORIZON": HORIZON, "UNSEEN": UNSEEN, "WAIT_BUCKETS": WAIT_BUCKETS, "SERVERS": SERVERS,
    "NUMBERS": fields.NUMBERS, "ALWAYS": fields.ALWAYS, "FINAL": sorted(FINAL),
    "POLLED": fields.POLLED,
}  # fmt: skip


def lua(name: str) -> str:
    """The shared value in Lua: a number, or a list. Raises KeyError."""
    value = _SHARED[name]
    if isinstance(value, int):
        return str(value)
    return "{" + ", ".join(str(one) if isinstance(one, int) else f"'{one}'" for one in value) + "}"
