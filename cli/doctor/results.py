"""What `doctor` finds: one line for each thing it looked at, and what to do where it is not well."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, and something should be known or changed
    FAIL = "fail"  # edits do not get through like this


class Finding(NamedTuple):
    level: Level
    check: str
    said: str
    do: str = ""


def ok(check: str, said: str) -> Finding:
    return Finding(Level.OK, check, said)


def warn(check: str, said: str, do: str = "") -> Finding:
    return Finding(Level.WARN, check, said, do)


def fail(check: str, said: str, do: str) -> Finding:
    return Finding(Level.FAIL, check, said, do)
