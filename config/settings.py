"""`load` reads the settings once into one frozen tree, or raises one error with every fault."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config import rules, sources
from config.errors import Fault, SettingsError
from config.sources import Raw
from config.tree import ENTRIES, PREFIX, Row, Settings

__all__ = ["Fault", "Row", "Settings", "SettingsError", "load"]


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
    made = {source for source, _ in beneath}
    explicit = frozenset(name for name, one in reading.raw.items() if one.source not in made)
    faults = [*reading.faults, *_faults(reading.raw)]
    refused = {fault.name.removesuffix("_FILE") for fault in faults if fault.name.startswith(PREFIX)}
    raw = {name: one for name, one in reading.raw.items() if name not in refused}
    worked_out = rules.worked_out(Settings.model_validate(_tree(raw)))
    raw = {name: Raw(text, "worked out") for name, text in worked_out.items()} | raw
    settings = Settings.model_validate(_tree(raw))
    if settings.unknown_settings != "warn":
        faults += reading.unknown
    where = {entry.name: "default" for entry in ENTRIES if entry.default is not None}
    where |= {name: one.source for name, one in raw.items()}
    for name, problem in rules.problems(settings, production_guards=production_guards):
        if not any(other in f"{name} {problem}" for other in refused):  # those have a fault already
            faults.append(Fault(name, where.get(name, "not set"), problem))
    if faults:
        raise SettingsError(faults)
    warnings = tuple(map(str, reading.unknown))
    origin = {"explicit": explicit, "sources": where, "warnings": warnings, "storage_environment": reading.storage}
    return settings.model_copy(update=origin)


def _faults(raw: Mapping[str, Raw]) -> list[Fault]:
    try:
        Settings.model_validate(_tree(raw))
    except ValidationError as exc:
        return [_fault(error, raw) for error in exc.errors()]
    return []


def _fault(error: ErrorDetails, raw: Mapping[str, Raw]) -> Fault:
    name = PREFIX + "__".join(map(str, error["loc"])).upper()
    context = error.get("ctx", {})
    problem = str(context.get("error", error["msg"]))
    if error["type"] == "literal_error":
        expected = context["expected"].replace("'", "")
        problem = f"{raw[name].text!r} is not known; write {expected}"
    return Fault(name, raw[name].source, problem)


def _tree(raw: Mapping[str, Raw]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for entry in ENTRIES:
        *section, name = entry.path
        branch = tree.setdefault(section[0], {}) if section else tree
        text = raw[entry.name].text if entry.name in raw else entry.default
        if text is not None:
            branch[name] = text
    return tree
