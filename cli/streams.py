"""Standard streams of the program: text that a stream cannot encode is written with escapes, a closed stream is empty.

A stdout that cannot be written to ends the program; notes on a stderr that cannot be written to are dropped.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from cli.errors import WorkFailed


class _Stdout(io.TextIOWrapper):
    def write(self, text: str) -> int:
        with writing():
            return super().write(text)

    def flush(self) -> None:
        with writing():
            super().flush()


class _Stderr(io.TextIOWrapper):
    def write(self, text: str) -> int:
        with suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


@contextmanager
def writing() -> Iterator[None]:
    """For bytes on their way to stdout. Raises WorkFailed, or SystemExit where the reader has gone."""
    try:
        yield
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes once more when it ends
        if isinstance(error, BrokenPipeError):
            raise SystemExit(1) from error
        raise WorkFailed(f"stdout: {(error.strerror or 'cannot be written to').lower()}") from error


@contextmanager
def flushed() -> Iterator[None]:
    """Writes what is buffered before the program ends, while a failure can still be reported."""
    try:
        yield
    finally:
        sys.stdout.flush()


def opened(stdout: TextIO | None, stderr: TextIO | None) -> tuple[TextIO, TextIO]:
    """Both streams as this program writes to them; None: closed at the start. No file is opened under their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)  # noqa: FBT003 - for the programs that this one becomes
    os.close(number)
    return _wrapped(_Stdout, stdout, 1), _wrapped(_Stderr, stderr, 2)


def _wrapped(kind: type[io.TextIOWrapper], stream: TextIO | None, number: int) -> TextIO:
    encoding = stream.encoding if stream else "utf-8"
    buffer = stream.buffer if stream else os.fdopen(number, "wb", closefd=False)
    lines = isinstance(stream, io.TextIOWrapper) and stream.line_buffering
    return kind(buffer, encoding=encoding, errors="backslashreplace", line_buffering=lines)
