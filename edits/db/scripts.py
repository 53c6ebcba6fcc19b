"""A Lua script as Python calls it: its name, and how its reply is read.

Each script is declared beside the one method that calls it, which gives every argument its type.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

Argument: TypeAlias = "str | int | float | Sequence[Argument] | Mapping[str, Argument] | None"  # None: not sent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Script(Generic[T]):
    name: str
    read: Callable[[Any], T]  # from the reply: a text, a whole number, None, or a list of these
    op: str | None = None  # which of its operations, for a script that has several
    many: bool = False  # it takes a list of arguments: calls that wait together are one call of Redis


def is_ok(reply: Any) -> bool:
    """Whether the script did what was asked; False: another process has decided in the meantime."""
    return bool(reply == "ok")


def nothing(_: Any) -> None:
    """For a script whose reply says nothing."""


def parsed(reply: Any) -> Any:
    return json.loads(reply)
