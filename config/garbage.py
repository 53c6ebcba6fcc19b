"""Python's search for garbage cycles, in a process that stays: what it loaded at the start is never searched again."""

import gc
from typing import Final

MADE: Final = 20_000
"""Objects made and kept before the young ones are searched. With 700, which is Python's own choice, some hundred
requests in flight are searched many times each, and live through them all: a fifth of the CPU of an accept."""


def settle() -> None:
    """Called once, when all is loaded and open."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(MADE, 10, 10)
