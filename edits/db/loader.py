"""Makes the text of a script: its `#!lua` line, the preludes that its `--- @include` lines name, and its own body.

Redis runs the whole text at every call, so a script includes only the preludes it needs. A value that it shares with
Python stands in it as `$NAME` (constants.py).
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edits.db import constants

_INCLUDE: Final = re.compile(r"^--- @include ([\w ]+)$", re.MULTILINE)
_SHARED: Final = re.compile(r"\$([A-Z_]+)\b")
_COMMENT: Final = re.compile(r"^ *--.*\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Composed:
    name: str
    text: str
    sha: str


def compose(folder: Path, name: str) -> Composed:
    """The script `{name}.lua` of a folder.

    Raises FileNotFoundError for an included prelude that is not there, KeyError for a shared value not declared.
    """
    shebang, _, body = (folder / f"{name}.lua").read_text("utf-8").partition("\n")
    parts = [(folder / f"{prelude}.lua").read_text("utf-8") for prelude in dict.fromkeys(includes(folder, body))]
    text = shebang + "\n" + "".join(_COMMENT.sub("", part) for part in [*parts, body])
    text = _SHARED.sub(lambda shared: constants.lua(shared[1]), text)
    return Composed(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def includes(folder: Path, text: str) -> Iterator[str]:
    """The preludes of a text, each after those it includes itself; some may come several times."""
    for prelude in " ".join(_INCLUDE.findall(text)).split():
        yield from includes(folder, (folder / f"{prelude}.lua").read_text("utf-8"))
        yield prelude
