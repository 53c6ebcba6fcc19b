"""Tunes Python's garbage collection: objects loaded at start are never searched for cycles."""

import gc
from typing import Final

YOUNG: Final = 20_000
"""New objects before a search of the young generation. With Python's default of 700, hundreds of requests in flight
are searched many times each and survive: a fifth of the CPU time of an accept."""
LOADED: Final = 100_000  # about the objects made at start, all of which stay


def hold() -> None:
    """Called first, before anything is loaded."""
    gc.set_threshold(LOADED)


def settle() -> None:
    """Called once, when all is loaded and open. The little garbage of the start stays."""
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
