"""Errors that end the program: one class per exit code, each shown as one message on stderr."""

from typing import ClassVar


class Stop(Exception):
    exit_code: ClassVar[int] = 1


class WorkFailed(Stop):
    """The work was tried and failed."""


class Conflict(WorkFailed):
    """The edit is too far along for this call."""


class WrongUsage(Stop):
    """The command, a file or a setting must be changed first."""

    exit_code = 2


class Unreachable(Stop):
    """No server answered: safe to repeat."""

    exit_code = 3


def why(error: OSError) -> str:
    """The reason as a part of a message."""
    return (error.strerror or "cannot be used").lower()
