"""A check result: one line for each checked part, and the action where something is wrong."""

from enum import StrEnum
from typing import Final, NamedTuple

ANSWER_WITHIN: Final = 4.0
"""Seconds for one request of a check."""


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, but something should be changed
    FAIL = "fail"  # edits cannot be accepted or finished


class Result(NamedTuple):
    level: Level
    check: str
    said: str
    do: str = ""


def ok(check: str, said: str) -> Result:
    return Result(Level.OK, check, said)


def warn(check: str, said: str, do: str = "") -> Result:
    return Result(Level.WARN, check, said, do)


def fail(check: str, said: str, do: str) -> Result:
    return Result(Level.FAIL, check, said, do)
