"""Tunes Python's search for garbage cycles: objects loaded at start are never searched."""

import gc
from typing import Final

MADE: Final = 20_000
"""New objects before the young ones are searched. With Python's default of 700, some hundred
requests in flight are searched many times each and survive: a fifth of the CPU of an accept."""

LOADED: Final = 100_000
"""About the objects made at start: they are all kept, so a search finds nothing."""


def hold() -> None:
    """Called first, before anything is loaded."""
    gc.set_threshold(LOADED)


def settle() -> None:
    """Called once, when all is loaded and open. The little garbage that the start has made stays."""
    gc.freeze()
    gc.set_threshold(MADE, 10, 10)
