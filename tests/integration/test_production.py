"""`RETOUCH_ENV=production` as an operator meets it: each process ends at once, with exit code 2 and every fault."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.stack import environment
from tests.parts.valkey import free_port

BAD = {
    "RETOUCH_ENV": "production",
    "RETOUCH_REDIS_URL": "redis://127.0.0.1:9/0",
    "RETOUCH_SECRET_KEY": "short",
    "RETOUCH_PUBLIC_URL": "http://retouch.example.com",
    "RETOUCH_QUBICO__BASE_URL": "http://127.0.0.1:8001",
    "RETOUCH_QUBICO__API_KEY": "sandbox-key",
    "RETOUCH_WEBHOOKS__ALLOW_PRIVATE": "true",
    "RETOUCH_COLOUR": "red",
}
FAULTS = {
    "RETOUCH_SECRET_KEY",  # too short
    "RETOUCH_API__ADMIN_KEY",  # missing
    "RETOUCH_FLOWER__PASSWORD",  # missing
    "RETOUCH_PUBLIC_URL",  # not https
    "RETOUCH_STORAGE_URL",  # the default: this machine's disk
    "RETOUCH_QUBICO__BASE_URL",  # a sandbox, and nobody said that it is meant
    "RETOUCH_WEBHOOKS__ALLOW_PRIVATE",
    "RETOUCH_COLOUR",
}
GOOD = {
    "RETOUCH_ENV": "production",
    "RETOUCH_SECRET_KEY": "a-secret-of-thirty-two-bytes-or-more",
    "RETOUCH_API__ADMIN_KEY": "operators-key",
    "RETOUCH_FLOWER__PASSWORD": "flowers-password",
    "RETOUCH_PUBLIC_URL": "https://retouch.example.com",
    "RETOUCH_STORAGE_SHARED": "true",
    "RETOUCH_QUBICO__BASE_URL": "http://127.0.0.1:8001",
    "RETOUCH_QUBICO__API_KEY": "sandbox-key",
    "RETOUCH_QUBICO__SANDBOX": "true",
}
COMMANDS = {
    "uvicorn": ("uvicorn", "api.app:app", "--port", "0"),
    "celery worker": ("celery", "-A", "workers.app", "worker", "-Q", "submit", "--pool", "threads"),
    "celery flower": ("celery", "-A", "workers.app", "flower"),
    "retouch api": ("cli", "api"),
    "retouch worker": ("cli", "worker"),
    "retouch up": ("cli", "up"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_bad_production_ends_every_process_with_all_its_faults(tmp_path: Path, command: tuple[str, ...]) -> None:
    code, written = ended(command, tmp_path, **BAD)
    assert code == 2, written
    named = {name for name in FAULTS if f"{name} " in written or f"{name}:" in written}
    assert named == FAULTS, written
    assert "Traceback" not in written
    for secret in ("sandbox-key", "short\n"):
        assert secret not in written


@pytest.mark.parametrize("name", ["uvicorn", "celery worker", "celery flower", "retouch api", "retouch worker"])
def test_production_joins_no_embedded_parts(tmp_path: Path, name: str) -> None:
    code, written = ended(COMMANDS[name], tmp_path, **GOOD)
    assert code == 2, written
    assert "RETOUCH_REDIS_URL" in written
    assert not list(tmp_path.glob("var/*.aof"))


def test_production_with_all_it_needs_starts(tmp_path: Path, redis_url: str) -> None:
    command = [sys.executable, "-m", "uvicorn", "api.app:app", "--port", str(free_port())]
    environ = environment(tmp_path, **GOOD, RETOUCH_REDIS_URL=redis_url, RETOUCH_LOG__FORMAT="json")
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            said = next((line for line in process.stderr if "Application startup complete" in line), None)
        finally:
            process.terminate()
            process.wait(90)
    assert said is not None


def ended(command: tuple[str, ...], folder: Path, **settings: str) -> tuple[int, str]:
    environ = environment(folder, **settings)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
