"""The locks name all that is needed: set-up installs them without looking for dependencies."""

import re
import tomllib
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def applies(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras | {""})


def needs_of(name: str) -> list[Requirement]:
    """None for what is not installed: there is no Valkey wheel for some machines."""
    with suppress(metadata.PackageNotFoundError):
        return list(map(Requirement, metadata.requires(name) or []))
    return []


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PROJECT["dependencies"]),
        ("requirements-dev.lock", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]),
    ],
)
def test_a_lock_names_what_is_wanted_and_whatever_that_needs(lock, wanted):
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), flags=re.MULTILINE))
    left = [requirement for requirement in map(Requirement, wanted) if applies(requirement, set())]
    seen = set()
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(pinned[name], prereleases=True), requirement
        if (name, *sorted(requirement.extras)) not in seen:
            seen.add((name, *sorted(requirement.extras)))
            left += [need for need in needs_of(name) if applies(need, requirement.extras)]
