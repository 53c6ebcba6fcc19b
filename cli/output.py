"""Output: data on stdout, progress and notes on stderr; colour only at a terminal without NO_COLOR."""

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

WIDE = 400  # columns where there is no terminal, so that tables in a pipe are not cut or wrapped


def console(stream: IO[str]) -> Console:
    """A new console for each use, because tests replace the streams."""
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


def show(what: RenderableType, raw: Any, *, as_json: bool) -> None:
    """`what` for people, or `raw` as JSON."""
    if as_json:
        data_json(raw)
    else:
        data(what)


def note(message: str, *, style: str = "") -> None:
    """Prints one line on stderr; markup in it is not interpreted."""
    console(sys.stderr).print(Text(message, style=style))


@contextmanager
def ending() -> Iterator[None]:
    """Writes what is buffered, and ends the program after an error of ours with its message and exit code."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except (Stop, SettingsError, RedisUnfit) as error:
        note(f"retouch: {error}", style="red")
        sys.exit(error.exit_code if isinstance(error, Stop) else WrongUsage.exit_code)


def run(work: Coroutine[Any, Any, int | None], *, at_once: bool = False) -> None:
    """Runs a command's coroutine; its result is the exit code.

    `at_once`: exits without interpreter shutdown, which a storage thread blocked on a dead server would crash.
    """
    code = asyncio.run(work) or 0
    if at_once:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)
