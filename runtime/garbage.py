"""Python's search for garbage cycles, in a process that stays: what it loads at the start is never searched."""

import gc
from typing import Final

MADE: Final = 20_000
"""Objects made and kept before the young ones are searched. With 700, which is Python's own choice, some hundred
requests in flight are searched many times each, and live through them all: a fifth of the CPU of an accept."""

LOADED: Final = 100_000
"""As many as a start makes: what is loaded is kept, so a search through it finds nothing and only takes time."""


def hold() -> None:
    """Called first of all, before anything is loaded."""
    gc.set_threshold(LOADED)


def settle() -> None:
    """Called once, when all is loaded and open. The little garbage that the start has made stays."""
    gc.freeze()
    gc.set_threshold(MADE, 10, 10)
