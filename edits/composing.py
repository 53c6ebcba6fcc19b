"""Makes the text of a script: its `#!lua` line, of the preludes only what it names, and its own body.

Redis runs the whole text at every call: whatever stands there without use costs time each time.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

PRELUDES: Final = ("_arguments", "_record", "_tasks", "_limits", "_served")

_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_COMMENT: Final = re.compile(r"^ *--.*\n?", re.MULTILINE)
_PART: Final = re.compile(r"^local (?:function )?([\w, ]+?)(?= =|\(| --|$)", re.MULTILINE)
_KIND: Final = re.compile(r"(\w+) = '(\w+)',\s*")
_NEEDED: Final = re.compile(r"\bneed\(([^)]*)\)")
_USED: Final = re.compile(r"\bA\.(\w+)")
_NO_NUMBER: Final = "type(v) ~= 'number' or v % 1 ~= 0 or v <= -EXACT or v >= EXACT"
_WRONG: Final = {
    "text": "type(v) ~= 'string'",
    "whole": _NO_NUMBER,
    "many": f"{_NO_NUMBER} or v < 0",
    "free": "type(v) ~= 'table'",
    "rate": "type(v) ~= 'number' or not (v > 0 and v < EXACT)",
}
"""When `v` is not of its kind."""


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    text: str
    sha: str


@dataclass(frozen=True, slots=True)
class Part:
    """From a `local` at the beginning of a line up to the next one."""

    declares: frozenset[str]
    text: str


def compose(folder: Path, name: str) -> Script:
    shebang, _, body = (folder / f"{name}.lua").read_text().partition("\n")
    text = "\n".join([shebang, *_named_in(body, parts(folder))])
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def parts(folder: Path) -> tuple[Part, ...]:
    """Of all preludes, in their order: each uses only what stands before it."""
    found = []
    for prelude in PRELUDES:
        text = _COMMENT.sub("", (folder / f"{prelude}.lua").read_text())
        heads = list(_PART.finditer(text))
        ends = [head.start() for head in heads[1:]] + [len(text)]
        found += [
            Part(frozenset(_WORD.findall(head[1])), text[head.start() : end].rstrip())
            for head, end in zip(heads, ends, strict=True)
        ]
    return tuple(found)


def words(text: str) -> set[str]:
    """Also those in strings and names of fields: rather a part too many than one too few."""
    return set(_WORD.findall(_COMMENT.sub("", text)))


def _named_in(body: str, given: Sequence[Part]) -> list[str]:
    kinds = {name: kind for part in given if "KINDS" in part.declares for name, kind in _KIND.findall(part.text)}
    named, kept = words(body), [body]
    for part in reversed(given):
        if not part.declares & named:
            continue
        text = part.text
        if "KINDS" in part.declares:  # a long table, of which each script needs a few words
            text = _only(named, text)
        elif "A" in part.declares:
            text = "\n".join([text, *_checks("\n".join(kept), kinds)])
        named |= words(text)
        kept.insert(0, text)
    return kept


def _checks(text: str, kinds: dict[str, str]) -> list[str]:
    """Of each argument that is named: a line in a row costs a third of a loop over a table."""
    needed = {name for names in _NEEDED.findall(text) for name in _WORD.findall(names)} | set(_USED.findall(text))
    wrong = {name: _WRONG.get(kind, f"not is(v, '{kind}')") for name, kind in kinds.items()}
    return [
        f"v = A.{name} if v ~= nil and ({wrong[name]}) then refuse('{name}', '{kind}') end"
        for name, kind in kinds.items()
        if name in needed
    ]


def _only(named: set[str], kinds: str) -> str:
    return _KIND.sub(lambda kind: kind[0] if kind[1] in named else "", kinds)
