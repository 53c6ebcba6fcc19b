"""Failure counts of a step by kind, packed in one number of a record: each kind has its own retry budget."""

from enum import IntEnum
from typing import Final

from edits.db.claims import Claim


class Trouble(IntEnum):
    """The place of its count in the number, in bytes from the lowest."""

    PASSING = 0  # no answer, an outage, a throttle
    GONE = 1  # 404: the task or its file is not there
    NO_ADDRESS = 2  # completed without a file
    BROKEN = 3  # an error of our own
    STORAGE = 4  # our storage cannot be used


MOST: Final = 255
"""Where counting stops; every back-off has long reached its longest, and every budget its end."""


def so_far(claim: Claim, trouble: Trouble) -> int:
    return claim.tries >> 8 * trouble & MOST


def one_more(claim: Claim, trouble: Trouble) -> int:
    """The number to store after one more failure of this kind."""
    return claim.tries + (1 << 8 * trouble if so_far(claim, trouble) < MOST else 0)
