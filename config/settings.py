"""`load` reads the settings once into one frozen tree, or raises one error with every fault."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from config import rules, sources
from config.errors import Fault, SettingsError
from config.tree import ENTRIES, Row, Settings

__all__ = ["Fault", "Row", "Settings", "SettingsError", "load"]

_adapter = cache(TypeAdapter)


def load(
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
    *,
    beneath: Iterable[tuple[str, Mapping[str, str]]] = (),
    production_guards: bool = True,
) -> Settings:
    """Reads `environ` (default: `os.environ`), beneath it `.env`, beneath that the named layers of `beneath`.

    `production_guards=False` is for commands that only call an API and start nothing. Raises SettingsError.
    """
    beneath = tuple(beneath)
    reading = sources.read(os.environ if environ is None else environ, dotenv, beneath)
    where = {name: raw.source for name, raw in reading.raw.items()}
    explicit = where.keys() - {name for name, source in where.items() if source in {sources.DEFAULT, *dict(beneath)}}
    values, faults = _parse(reading)
    if values.get("RETOUCH_UNKNOWN_SETTINGS") != "warn":
        faults += reading.unknown
    for name, value in rules.worked_out(values).items():
        if value is not None and values.get(name, "") is None:
            values[name], where[name] = value, "worked out"
    problems = rules.problems(values, production_guards=production_guards)
    faults += [Fault(name, where.get(name, "not set"), problem) for name, problem in problems]
    if faults:
        raise SettingsError(faults)
    return Settings.model_validate(
        {
            **_tree(values),
            "explicit": explicit,
            "sources": where,
            "warnings": tuple(map(str, reading.unknown)),
            "storage_environment": reading.storage,
        }
    )


def _parse(reading: sources.Reading) -> tuple[dict[str, Any], list[Fault]]:
    """The values by name, None if not set; without those that have a fault."""
    faults = list(reading.faults)
    values: dict[str, Any] = {entry.name: None for entry in ENTRIES}
    for entry in ENTRIES:
        if raw := reading.raw.get(entry.name):
            try:
                values[entry.name] = _adapter(entry.type).validate_python(raw.text)
            except ValidationError as exc:
                faults.append(Fault(entry.name, raw.source, _problem(raw.text, exc)))
    refused = {fault.name.removesuffix("_FILE") for fault in faults}
    return {name: value for name, value in values.items() if name not in refused}, faults


def _problem(text: str, exc: ValidationError) -> str:
    error = exc.errors()[0]
    if error["type"] == "literal_error":
        expected = error["ctx"]["expected"].replace("'", "")
        return f"{text!r} is not known; write {expected}"
    return str(error.get("ctx", {}).get("error") or error["msg"])


def _tree(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for entry in ENTRIES:
        branch = tree
        for part in entry.path[:-1]:
            branch = branch.setdefault(part, {})
        branch[entry.path[-1]] = values[entry.name]
    return tree
