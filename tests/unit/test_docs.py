"""What the documents name is there: settings, metrics, commands, containers, and the places that links lead to."""

import re
from pathlib import Path

import pytest

from config.reference import production_template

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
STEPS = {"submit", "poll", "store", "adopt", "sweep"}


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.name)
def document(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def anchors(path: Path) -> set[str]:
    prose = re.sub(r"^```.*?^```$", "", text(path), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text(document)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (document.parent / name).resolve() if name else document
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_settings_are_settings(document: Path) -> None:
    there = set(re.findall(r"^#?(RETOUCH_\w+)=", production_template(), re.MULTILINE))
    named = set(re.findall(r"\bRETOUCH_[A-Z_]*[A-Z]\b(?!\*|_)", text(document)))
    made_for_tests = {name for name in named if name.startswith("RETOUCH_TEST_")}
    unknown = {
        name for name in named - there - made_for_tests if not any(full.startswith(f"{name}__") for full in there)
    }
    assert unknown == set()


def test_metrics_are_metrics(document: Path) -> None:
    source = text(ROOT / "edits" / "stats.py")
    named = re.findall(r"\bretouch_[a-z_]+", text(document))
    assert [name for name in named if f'"{name.removesuffix("_total")}"' not in source] == []


def test_containers_are_those_of_compose() -> None:
    services = set(re.findall(r"^  ([a-z][a-z0-9-]*):$", text(ROOT / "docker-compose.yml"), re.MULTILINE))
    named = set(re.findall(r"\bworker-[a-z]+", text(ROOT / "docs" / "operations.md")))
    assert named == {f"worker-{step}" for step in STEPS}
    assert named <= services
