"""`load` reads the settings once and gives one frozen tree, or refuses with every fault in one message."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from config import rules, sources
from config.errors import Fault, SettingsError
from config.tree import Entry, Row, Settings, entries

__all__ = ["Fault", "Row", "Settings", "SettingsError", "load"]


def load(
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = Path(".env"),
    *,
    beneath: Iterable[tuple[str, Mapping[str, str]]] = (),
    production_guards: bool = True,
) -> Settings:
    """Read the environment (`os.environ` unless given), beneath it `.env`, beneath that the named layers of `beneath`.

    `production_guards=False` is for commands that only talk to an API and start nothing.
    """
    beneath = tuple(beneath)
    reading = sources.read(os.environ if environ is None else environ, dotenv, beneath)
    where = {name: raw.source for name, raw in reading.raw.items()}
    values, faults = _parse(reading)
    warnings = _sort_unknown(reading, faults, soften=values.get("RETOUCH_UNKNOWN_SETTINGS") == "warn")
    rules.worked_out(values)
    faults += rules.faults(values, where)
    if production_guards:
        faults += rules.production_faults(values, where)
    if faults:
        raise SettingsError(faults)
    made = {source for source, _ in beneath}
    return Settings.model_validate(
        {
            **_tree(values),
            "explicit": frozenset(name for name, source in where.items() if source not in made),
            "sources": where | {name: "worked out" for name in rules.WORKED_OUT if values[name] and name not in where},
            "warnings": warnings,
            "storage_environment": reading.storage,
        }
    )


def _parse(reading: sources.Reading) -> tuple[dict[str, Any], list[Fault]]:
    values: dict[str, Any] = {}
    faults = list(reading.faults)
    refused = {fault.name.removesuffix("_FILE") for fault in faults}
    for entry in entries():
        raw = reading.raw.get(entry.name)
        text = raw.text if raw else entry.default
        if entry.name in refused:
            continue
        if text is None:
            values[entry.name] = None
            continue
        try:
            values[entry.name] = _adapter(entry).validate_python(text)
        except ValidationError as exc:
            faults.append(Fault(entry.name, raw.source if raw else "default", _problem(text, exc)))
    return values, faults


@cache
def _adapter(entry: Entry) -> TypeAdapter[Any]:
    return TypeAdapter(entry.annotation)


def _problem(text: str, exc: ValidationError) -> str:
    error = exc.errors()[0]
    if error["type"] == "literal_error":
        expected = error["ctx"]["expected"].replace("'", "")
        return f"{text!r} is not known; write {expected}"
    cause = error.get("ctx", {}).get("error")
    return str(cause or error["msg"])


def _sort_unknown(reading: sources.Reading, faults: list[Fault], *, soften: bool) -> tuple[str, ...]:
    if soften:
        return tuple(str(fault) for fault in reading.unknown)
    faults += reading.unknown
    return ()


def _tree(values: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for entry in entries():
        branch = tree
        for part in entry.path[:-1]:
            branch = branch.setdefault(part, {})
        branch[entry.path[-1]] = values[entry.name]
    return tree
