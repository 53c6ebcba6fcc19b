"""How the program ends when it does not end well: one class per exit code, each shown as one clear message on stderr.

Stop
├── WorkFailed    1: the work was tried and failed
│   └── Conflict  1: the edit is past what was asked for it
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
    """The edit is past what was asked for it."""


class WrongUsage(Stop):
    """The command, a file or a setting must be changed first."""

    exit_code = 2


class Unreachable(Stop):
    """No server answered: safe to repeat."""

    exit_code = 3
