"""Reads settings as text from the environment, `.env`, a running `up` and the defaults; parses no value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import parse_stream

from config.errors import Fault
from config.tree import ENTRIES, PREFIX, Entry

_KUBERNETES = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
# For the project's tests; no process reads these names.
_RESERVED = PREFIX + "TEST_"
_STORAGE_PREFIXES = ("AWS_", "GOOGLE_", "AZURE_")
_LARGEST_SECRET_FILE = 64 * 1024


class Raw(NamedTuple):
    """A setting as text, and where it was set."""

    text: str
    source: str


@dataclass(slots=True)
class Reading:
    """All values as written, and the faults of their syntax."""

    raw: dict[str, Raw] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    unknown: list[Fault] = field(default_factory=list)
    storage: dict[str, str] = field(default_factory=dict)


def read(environ: Mapping[str, str], dotenv: Path | None, beneath: Iterable[tuple[str, Mapping[str, str]]]) -> Reading:
    """The first source of each setting wins. Empty text means not set, as in compose files."""
    reading = Reading()
    for source, layer in (("environment", environ), (".env", _dotenv(dotenv, reading)), *beneath):
        _note_unknown(source, layer, reading)
        for name, text in layer.items():
            if name.startswith(_STORAGE_PREFIXES) and text:
                reading.storage.setdefault(name, text)
        for entry in ENTRIES:
            if found := _find(entry, source, layer, reading):
                reading.raw.setdefault(entry.name, found)
    return reading


def _dotenv(path: Path | None, reading: Reading) -> dict[str, str]:
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        problem = f"cannot be read ({_reason(exc)}); make it a readable text file"
        reading.faults.append(Fault(str(path), ".env", problem))
        return {}
    layer: dict[str, str] = {}
    for binding in bindings:
        if binding.error:
            problem = f"line {binding.original.line} is not NAME=value; correct or remove it"
            reading.faults.append(Fault(str(path), ".env", problem))
        elif binding.key:
            layer[binding.key] = binding.value or ""
    return layer


def _find(entry: Entry, source: str, layer: Mapping[str, str], reading: Reading) -> Raw | None:
    text = layer.get(entry.name, "")
    text = text if entry.secret else text.strip()
    file_name = f"{entry.name}_FILE"
    path = layer.get(file_name, "").strip() if entry.from_file else ""
    if text and path:
        reading.faults.append(Fault(entry.name, source, f"{file_name} is set as well; keep one of the two"))
        return None
    if not path or entry.name in reading.raw:  # a file that another source overrides is not opened
        return Raw(text, source) if text else None
    try:
        return Raw(_secret_file(Path(path)), f"file {path}")
    except (OSError, ValueError, RuntimeError) as exc:
        reading.faults.append(Fault(file_name, source, f"{path}: {_reason(exc)}; write the secret into this file"))
        return None


def _secret_file(path: Path) -> str:
    with path.expanduser().open("rb") as stream:
        content = stream.read(_LARGEST_SECRET_FILE + 1)
    if len(content) > _LARGEST_SECRET_FILE:
        raise ValueError("the file is larger than 64 KiB")
    text = content.decode("utf-8").strip("\r\n")
    if not text.strip():
        raise ValueError("the file is empty")
    return text


def _reason(exc: Exception) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return "not UTF-8 text"  # its own text shows bytes of a secret
    return (exc.strerror or "cannot be read").lower() if isinstance(exc, OSError) else str(exc)


def _note_unknown(source: str, layer: Mapping[str, str], reading: Reading) -> None:
    known = {entry.name for entry in ENTRIES} | {f"{entry.name}_FILE" for entry in ENTRIES if entry.from_file}
    for name, text in sorted(layer.items()):
        if not name.startswith(PREFIX) or name in known or name.startswith(_RESERVED):
            continue
        if _KUBERNETES.search(name) or (name.endswith("_PORT") and text.startswith(("tcp://", "udp://", "sctp://"))):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
        hint = f"did you mean {near[0]}?" if near else "remove it, or see .env.example for all names"
        reading.unknown.append(Fault(name, source, f"there is no such setting; {hint}"))
