"""A check result: one line for each checked part, and the action where something is wrong."""

from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple

ANSWER_WITHIN: Final = 4.0  # seconds for one request of a check


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, but something should be changed
    FAIL = "fail"  # edits cannot be accepted or finished


class Result(NamedTuple):
    level: Level
    check: str
    said: str
    do: str = ""


ok = partial(Result, Level.OK)
warn = partial(Result, Level.WARN)
fail = partial(Result, Level.FAIL)
