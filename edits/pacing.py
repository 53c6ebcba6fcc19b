"""When to ask about a task again: a fixed first wait, then gaps that grow with its age. Pure: time is passed in."""

from typing import Final

FIRST_LOOK: Final = 1.0  # seconds after the provider took the task
FIRST_LOOK_CALLED_BACK: Final = 5.0  # a callback is expected before
SHORTEST_GAP: Final = 0.5
LONGEST_GAP: Final = 3.0
SHARE_OF_AGE: Final = 0.2


def first_look(*, callbacks: bool) -> float:
    """Seconds from the acceptance of a task to its first read."""
    return FIRST_LOOK_CALLED_BACK if callbacks else FIRST_LOOK


def next_look(age: float) -> float:
    """Seconds to the next read of a task that is `age` seconds old and unfinished."""
    return min(LONGEST_GAP, max(SHORTEST_GAP, age * SHARE_OF_AGE))


ABANDONED_GAPS: Final = (60.0, 300.0, 1800.0)


def abandoned_look(age: float) -> float:
    """Seconds to the next read of a task that nobody waits for: slow, it is only read for the books."""
    return ABANDONED_GAPS[0] if age < 3600 else ABANDONED_GAPS[1] if age < 6 * 3600 else ABANDONED_GAPS[2]
