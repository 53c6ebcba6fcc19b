"""Standard streams of the program: text that a stream cannot encode is written with escapes, a closed stream is empty.

A stdout that cannot be written to ends the program; notes on a stderr that cannot be written to are dropped.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TextIO

from cli.errors import WorkFailed, why


class _Stream(io.TextIOWrapper):
    guard: Callable[[], AbstractContextManager[None]]

    def write(self, text: str) -> int:
        with self.guard():
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with self.guard():
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
        raise WorkFailed(f"stdout: {why(error)}") from error


def opened(stdout: TextIO | None, stderr: TextIO | None) -> tuple[TextIO, TextIO]:
    """Both streams as this program writes to them; None: closed at the start. No file is opened under their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)  # noqa: FBT003 - for the programs that this one becomes
    os.close(number)
    return _wrapped(stdout, 1, writing), _wrapped(stderr, 2, lambda: suppress(OSError))


def _wrapped(stream: TextIO | None, number: int, guard: Callable[[], AbstractContextManager[None]]) -> TextIO:
    encoding = stream.encoding if stream else "utf-8"
    buffer = stream.buffer if stream else os.fdopen(number, "wb", closefd=False)
    lines = isinstance(stream, io.TextIOWrapper) and stream.line_buffering
    wrapped = _Stream(buffer, encoding=encoding, errors="backslashreplace", line_buffering=lines)
    wrapped.guard = guard
    return wrapped
