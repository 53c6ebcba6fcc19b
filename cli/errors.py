"""Errors that end the program: one class per exit code, each shown as one message on stderr.

Stop
├── WorkFailed    1: the work was tried and failed
│   └── Conflict  1: the edit is too far along
├── WrongUsage    2: the command, a file or a setting must be changed first
└── Unreachable   3: no server answered; safe to repeat
"""

from typing import ClassVar


class Stop(Exception):
    """Ends the program with its message and its exit code."""

    exit_code: ClassVar[int] = 1


class WorkFailed(Stop):
    """The work was tried and failed."""

    exit_code = 1


class Conflict(WorkFailed):
    """The edit is too far along for this call."""


class WrongUsage(Stop):
    """The command, a file or a setting must be changed first."""

    exit_code = 2


class Unreachable(Stop):
    """No server answered: safe to repeat."""

    exit_code = 3
