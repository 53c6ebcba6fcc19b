"""`make test-live` itself, with a sandbox in the provider's place: its purchases, files and output."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.contract.learned import QUESTIONS
from tests.contract.live import UNITS_PER_DOLLAR, Paid, Purse
from tests.contract.subject import as_data_uri, picture
from tests.parts.sandbox import Sandbox, run_sandbox
from tests.parts.valkey import free_port

ROOT = Path(__file__).parents[2]
EARLIER = {
    "model": "Qubico/flux1-dev-advanced",
    "task_type": "kontext",
    "input": {"prompt": "snow", "image": as_data_uri(picture())},
}
KEY = "live-key-that-must-not-be-shown"


@pytest.fixture
def service() -> Iterator[Sandbox]:
    with run_sandbox(api_key=KEY, latency=0.02, wait=0.005) as running:
        yield running


def asked(folder: Path, *command: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RETOUCH_")}
    environ = kept | {f"RETOUCH_TEST_LIVE_{name}": value for name, value in settings.items()}
    environ |= {"RETOUCH_TEST_LIVE_FOLDER": str(folder), "RETOUCH_TEST_LIVE_CALLBACK_PORT": str(free_port())}
    what = command or (sys.executable, "-m", "tests.contract.live", "-q")
    return subprocess.run(what, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=500, check=False)


def learnt(folder: Path) -> str:
    (path,) = folder.glob("learned-????-??-??.md")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, ["RETOUCH_TEST_LIVE_KEY is not set", "RETOUCH_TEST_LIVE_URL is not set", "RETOUCH_TEST_LIVE_CAP_USD"]),
        ({"KEY": "k"}, ["RETOUCH_TEST_LIVE_URL is not set"]),
        ({"KEY": "k", "URL": "api.piapi.ai"}, ["RETOUCH_TEST_LIVE_URL must be an http(s) address"]),
        ({"KEY": "k", "URL": "https://x", "CAP_USD": "lots"}, ["RETOUCH_TEST_LIVE_CAP_USD must be dollars"]),
        ({"KEY": "k", "URL": "https://x", "CAP_USD": "inf"}, ["RETOUCH_TEST_LIVE_CAP_USD must be dollars"]),
    ],
)
def test_without_what_it_needs_it_says_what_to_set(tmp_path: Path, settings: dict[str, str], named: list[str]) -> None:
    done = asked(tmp_path, str(ROOT / "scripts" / "test-live"), **settings)
    assert done.returncode == 2
    assert all(text in done.stderr for text in named), done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_without_a_cap_nothing_is_bought_and_what_is_free_is_learnt_beside_what_was(
    tmp_path: Path, service: Sandbox
) -> None:
    days = [datetime.now(UTC) + timedelta(days=number) for number in range(2)]  # the day may end meanwhile
    earlier = [tmp_path / f"learned-{day:%Y-%m-%d}.md" for day in days]
    for path in earlier:
        path.write_text("learnt earlier")
    done = asked(tmp_path, KEY=KEY, URL=service.base_url)
    assert done.returncode == 0, done.stdout
    assert service.ledger()["tasks_bought"] == 0
    assert service.stats()["creates"] == 0
    assert [path.read_text() for path in earlier] == ["learnt earlier"] * 2
    (new,) = set(tmp_path.glob("learned-*.md")) - set(earlier)
    text = new.read_text(encoding="utf-8")
    assert "A read of an unknown id: HTTP 404" in text
    assert "A read of the account with a wrong key: HTTP 401" in text
    assert "0 creates were sent" in text
    assert "RETOUCH_TEST_LIVE_CAP_USD is not set" in done.stdout


def test_the_cap_is_never_passed(tmp_path: Path, service: Sandbox) -> None:
    only = ("-q", "-k", "live and (bounds or bought)")
    asked(tmp_path, sys.executable, "-m", "tests.contract.live", *only, KEY=KEY, URL=service.base_url, CAP_USD="0.05")
    assert service.stats()["creates"] == 2
    assert service.ledger()["units"] <= Decimal("0.05") * UNITS_PER_DOLLAR


@pytest.mark.parametrize("cap", ["0", "0.019"])
async def test_no_create_leaves_for_less_than_a_task_costs(sandbox: Sandbox, cap: str) -> None:
    async with httpx.AsyncClient(transport=Paid(Purse(Decimal(cap))), trust_env=False, timeout=90) as paying:
        with pytest.raises(pytest.skip.Exception):
            await paying.post(f"{sandbox.base_url}/api/v1/task", json=EARLIER, headers={"X-API-Key": sandbox.api_key})
        assert (await paying.get(f"{sandbox.base_url}/sandbox/ledger")).json()["tasks_bought"] == 0
    assert sandbox.stats()["creates"] == 0


def test_a_dearer_task_than_thought_counts_as_what_it_cost() -> None:
    purse = Purse(Decimal("0.12"))
    purse.take()
    purse.charged(400_000)
    purse.take()
    purse.charged(100_000)  # a cheap one brings nothing back
    assert (purse.spent, purse.tasks) == (Decimal("0.08"), 2)
    purse.take()
    with pytest.raises(pytest.skip.Exception, match=r"0\.12 of 0\.12 USD"):
        purse.take()


def test_with_enough_every_question_it_can_ask_is_answered(tmp_path: Path, service: Sandbox) -> None:
    httpx.post(f"{service.base_url}/api/v1/task", json=EARLIER, headers={"X-API-Key": KEY}, timeout=90, trust_env=False)
    done = asked(tmp_path, KEY=KEY, URL=service.base_url, CAP_USD="0.50")
    assert done.returncode == 0, done.stdout
    text = learnt(tmp_path)
    assert "A stand-in on this machine, not the provider" in text
    for number, question in QUESTIONS.items():
        assert f"## {number}. {question}" in text
    assert "Not learnt in this run" not in text
    for fact in (
        "no size: accepted, echoed as width 1024, height 1024",
        "an area above 1,048,576: refused, HTTP 400",
        "steps 41: refused, HTTP 400",
        "steps 40: 200000 units at the create",
        "PNG of about 9 MiB as a data URI: accepted, ended completed",
        "A picture that is not there: ended failed",
        "'completed' after",
        "the first answered 500 and the others 200: 'processing' after",
        "`x-webhook-secret` came with",
        "20 times HTTP 200",
        "The oldest task in the history (0.00 days): HTTP 200",
        "Its file: a PNG of 64 x 64 on 127.0.0.1",
    ):
        assert fact in text, fact
    bought = service.stats()["creates"] - 1
    assert f"{bought} creates were sent, counted as {Decimal('0.02') * bought} USD at most" in text
    assert Decimal("0.02") * bought <= Decimal("0.50")
    shown = text + done.stdout + done.stderr
    assert KEY not in shown
    assert "base64" not in text
    assert "/temp/" not in text


def test_a_key_in_the_shell_makes_no_ordinary_run_ask_the_service(tmp_path: Path, service: Sandbox) -> None:
    command = (sys.executable, "-m", "pytest", "tests/contract", "--collect-only", "-q", "-p", "no:cacheprovider")
    done = asked(tmp_path, *command, KEY=KEY, URL=service.base_url, CAP_USD="0.50")
    assert done.returncode == 0, done.stdout
    assert "[live]" not in done.stdout
    assert "test_live.py" not in done.stdout
