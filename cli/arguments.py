"""Arguments of the command line as text: UTF-8 in every locale, or an error that names the argument."""

import os
from pathlib import Path
from typing import TypeVar

import typer

from cli.errors import WrongUsage, why

Given = TypeVar("Given", str, None)


def text(value: Given) -> Given:
    """Bytes that the locale could not decode, decoded as UTF-8. Raises BadParameter, which names the argument."""
    if value is None:
        return value
    try:
        return os.fsencode(value).decode()
    except UnicodeError as error:
        raise typer.BadParameter(f"not valid UTF-8: {shown(value)}") from error


def path(value: str, *, name: str) -> Path:
    """A path with `~` resolved; its bytes stay as they are. Raises WrongUsage."""
    try:
        found = Path(value).expanduser()
        found.exists()
    except RuntimeError as error:
        raise WrongUsage(f"{name}: {shown(value)}: no such user, or HOME is not set") from error
    except OSError as error:  # a name that no file system takes, or a folder that is closed to us
        raise WrongUsage(f"{name}: {shown(value)}: {why(error)}") from error
    return found


def shown(value: str) -> str:
    """Any argument as one short printable line."""
    line = os.fsencode(value).decode(errors="backslashreplace")
    return line if len(line) <= 200 else f"{line[:199]}…"
