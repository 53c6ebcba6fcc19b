"""Faults of the settings. Each names its variable, where it was set, the fault and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Fault(NamedTuple):
    """One thing that is wrong. `problem` never holds the value of a secret."""

    name: str
    source: str
    problem: str

    def __str__(self) -> str:
        return f"{self.name} ({self.source}): {self.problem}"


class SettingsError(Exception):
    """The settings cannot be used; the message lists every fault at once. Programs exit with 2."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n".join([f"{count} in the settings:", *(f"  {fault}" for fault in self.faults)]))
