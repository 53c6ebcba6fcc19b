"""Makes the text of a script: its `#!lua` line, of the preludes only what it names, and its own body.

Redis runs the whole text at every call: whatever stands there without use costs time each time.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

PRELUDES: Final = ("_arguments", "_record", "_ends", "_tasks", "_limits", "_served", "_crew")

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
    """From a `local` at the beginning of a line up to the next one. What it names is found once, not once a script."""

    declares: frozenset[str]
    text: str
    names: frozenset[str]
    takes: frozenset[str]


def compose(folder: Path, name: str) -> Script:
    shebang, _, body = (folder / f"{name}.lua").read_text().partition("\n")
    text = "\n".join([shebang, *_named_in(body, folder)])
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def parts(folder: Path) -> tuple[Part, ...]:
    """Of all preludes, in their order: each uses only what stands before it."""
    found = []
    for prelude in PRELUDES:
        text = _COMMENT.sub("", (folder / f"{prelude}.lua").read_text())
        heads = list(_PART.finditer(text))
        ends = [head.start() for head in heads[1:]] + [len(text)]
        for head, end in zip(heads, ends, strict=True):
            whole = text[head.start() : end].rstrip()
            declares = frozenset(_WORD.findall(head[1]))
            found.append(Part(declares, whole, frozenset(words(whole)), frozenset(_taken(whole))))
    return tuple(found)


@cache
def checks(folder: Path) -> dict[str, str]:
    """Of each argument that has a kind: a line in a row costs a third of a loop over a table."""
    found = {}
    for name, kind in [kind for part in parts(folder) if "KINDS" in part.declares for kind in _KIND.findall(part.text)]:
        wrong = _WRONG.get(kind, f"not is(v, '{kind}')")
        found[name] = f"v = A.{name} if v ~= nil and ({wrong}) then refuse('{name}', '{kind}') end"
    return found


def words(text: str) -> set[str]:
    """Also those in strings and names of fields: rather a part too many than one too few."""
    return set(_WORD.findall(_COMMENT.sub("", text)))


def _named_in(body: str, folder: Path) -> list[str]:
    named, taken, kept = words(body), _taken(body), [body]
    for part in reversed(parts(folder)):
        if part.declares.isdisjoint(named):
            continue
        text, names = part.text, part.names
        if "KINDS" in part.declares:  # a long table, of which each script needs a few words
            text = _only(named, text)
            names = frozenset(words(text))
        elif "A" in part.declares:
            checked = [check for name, check in checks(folder).items() if name in taken]
            text, names = "\n".join([text, *checked]), names.union(words("\n".join(checked)))
        named |= names
        taken |= part.takes
        kept.insert(0, text)
    return kept


def _taken(text: str) -> set[str]:
    """The arguments that are named."""
    return {name for names in _NEEDED.findall(text) for name in _WORD.findall(names)} | set(_USED.findall(text))


def _only(named: set[str], kinds: str) -> str:
    return _KIND.sub(lambda kind: kind[0] if kind[1] in named else "", kinds)
