"""Where things are printed: data on stdout, progress and notes on stderr, no colour off a terminal or with NO_COLOR."""

import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from cli.errors import Stop, WrongUsage
from config.errors import SettingsError
from edits.errors import RedisUnfit

WIDE = 400  # columns off a terminal: a table in a pipe is for grep, so nothing may be cut or wrapped


def console(stream: IO[str]) -> Console:
    """A console made anew for each use, as tests and callers swap the streams."""
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(
        file=stream, color_system=colours, highlight=False, soft_wrap=True, width=None if stream.isatty() else WIDE
    )


def data(what: RenderableType) -> None:
    console(sys.stdout).print(what)


def data_json(what: Any) -> None:
    """One object on one line; a stream that is not UTF-8 gets JSON's own escapes."""
    escaped = (sys.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8"
    sys.stdout.write(json.dumps(what, ensure_ascii=escaped) + "\n")
    sys.stdout.flush()


def note(message: str, *, style: str = "") -> None:
    """One line for people, on stderr; the text is never read as markup."""
    console(sys.stderr).print(Text(message, style=style))


@contextmanager
def ending() -> Iterator[None]:
    """What stops the program in here becomes a message and an exit code."""
    try:
        yield
    except Stop as error:
        note(f"retouch: {error}", style="red")
        raise typer.Exit(error.exit_code) from error
    except (SettingsError, RedisUnfit) as error:
        note(f"retouch: {error}", style="red")
        raise typer.Exit(WrongUsage.exit_code) from error


def run(work: Coroutine[Any, Any, int | None], *, at_once: bool = False) -> None:
    """The one door from a command into async code; a number is the exit code.

    `at_once`: ends the process without the interpreter's farewell. The storage's client has threads of its own, and
    one that still waits for a server that hangs would bring the interpreter down while it ends.
    """
    with ending():
        code = asyncio.run(work) or 0
        sys.stdout.flush()
    if at_once:
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)
