"""Every example in docs/guide.md, run as a reader runs it: its own process, in a folder with a picture."""

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from api.errors import CODES
from edits.models import ErrorKind, Wait
from tests.parts.stack import ROOT, RunningStack, environment

GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
LANGUAGES = ("sh", "python", "js")
WITHIN = 150.0  # seconds, for one example
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$|^#+ ([^\n]+)$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    task: str
    language: str
    code: str
    prints: str


def examples(guide: str) -> Iterator[Example]:
    """What stands in ```text is printed by each example since the last such block."""
    task = ""
    since: list[tuple[str, str, str]] = []
    for match in FENCE.finditer(guide):
        language, code, heading = match.groups()
        if heading:
            task = heading
        elif language == "text":
            yield from (Example(*one, prints=code) for one in since)
            since = []
        else:
            since.append((task, language, code))
    assert not since, f"nothing says what these print: {since}"


EXAMPLES = list(examples(GUIDE))


@pytest.fixture(scope="module")
def picture_url(stack: RunningStack) -> str:
    """An address at which the provider, and whoever copies it, finds a picture."""
    picture = base64.b64encode((ROOT / "samples" / "landscape.jpg").read_bytes()).decode()
    answer = httpx.post(
        f"{stack.sandbox_url}/api/ephemeral_resource",
        headers={"X-API-Key": stack.setting("RETOUCH_QUBICO__API_KEY")},
        json={"file_name": "house.jpg", "file_data": picture},
        trust_env=False,
    )
    address: str = answer.raise_for_status().json()["data"]["url"]
    return address


@pytest.mark.parametrize(
    "example", EXAMPLES, ids=[f"{one.task.replace(' ', '-')}-{n}-{one.language}" for n, one in enumerate(EXAMPLES)]
)
def test_an_example_prints_what_the_guide_shows(
    stack: RunningStack, picture_url: str, tmp_path: Path, example: Example
) -> None:
    shutil.copy(ROOT / "samples" / "landscape.jpg", tmp_path / "house.jpg")
    environ = environment(tmp_path) | {
        "RETOUCH_CLIENT__URL": stack.api_url,
        "RETOUCH_CLIENT__API_KEY": stack.api_key,
        "PICTURE_URL": picture_url,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    done = subprocess.run(
        command(example, tmp_path),
        cwd=tmp_path,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(pattern(example.prints), done.stdout), done.stdout + done.stderr


def command(example: Example, folder: Path) -> list[str]:
    match example.language:
        case "sh":
            program("curl")
            return [program("sh"), "-eu", str(written(folder / "example.sh", example.code))]
        case "python":
            return [sys.executable, str(written(folder / "example.py", example.code))]
        case "js":
            return [program("node"), str(written(folder / "example.mjs", example.code))]
    raise AssertionError(f"no such language in the guide: {example.language}")


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def written(path: Path, code: str) -> Path:
    path.write_text(code, encoding="utf-8")
    return path


def pattern(shown: str) -> str:
    """`…` stands for anything: alone on a line for lines, else within one."""
    lines = (
        "(?:.*\n)+?" if line == "…" else re.escape(line).replace(re.escape("…"), ".+") + "\n"
        for line in shown.splitlines()
    )
    return "".join(lines)


def test_every_task_is_shown_in_every_language() -> None:
    shown: dict[str, list[str]] = {}
    for example in EXAMPLES:
        shown.setdefault(example.task, []).append(example.language)
    assert len(shown) > 10
    for task, languages in shown.items():
        assert languages == list(LANGUAGES) * (len(languages) // len(LANGUAGES)), task


def test_an_output_that_differs_from_the_shown_one_would_be_found() -> None:
    shown = "accepted after 0 ms\n…\nsucceeded after … ms\n"
    assert re.fullmatch(pattern(shown), "accepted after 0 ms\nstarted\nsucceeded after 7 ms\n")
    for wrong in ("accepted after 0 ms\nstarted\nfailed after 7 ms\n", "started\nsucceeded after 7 ms\n", ""):
        assert not re.fullmatch(pattern(shown), wrong)


@pytest.mark.parametrize("names", [CODES, ErrorKind, Wait], ids=["problems", "kinds", "waits"])
def test_the_guide_explains_all_that_may_be_answered(names: Iterable[str]) -> None:
    assert [str(name) for name in names if not re.search(rf"^\| .*`{name}`.* \|", GUIDE, re.MULTILINE)] == []
