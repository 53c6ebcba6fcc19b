"""The questions by name, each a module that is imported when it is asked.

A module has `measure(*, full) -> dict` of JSON, `tables(found) -> (title, rows) …`, and may have
`picture(found, figure)`, which draws on a matplotlib figure. Its first line is the question.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final

_NAMES: Final = (
    "cpu",
    "pieces",
    "redis",
    "pacing",
    "limits",
    "inflight",
    "instructions",
    "accepting",
    "idle",
    "growth",
)

QUESTIONS: Final[dict[str, Callable[[], Any]]] = {name: partial(import_module, f"benchmarks.{name}") for name in _NAMES}
