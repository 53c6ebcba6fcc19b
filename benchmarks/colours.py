"""The colours of pictures: what is ours, what it is held against, and a goal, which is a dashed line everywhere."""

from typing import Any, Final

OURS: Final = "#c0563c"
BESIDE: Final = "#8a939b"
GOAL: Final[dict[str, Any]] = {"color": "#222", "linewidth": 1, "linestyle": "--"}
