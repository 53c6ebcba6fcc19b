"""What the storage's own client reads from the environment may stand in `.env` as well: seen by a real process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.azure import AzureServer
from tests.parts.s3 import S3Server

ROOT = Path(__file__).parents[3]
PROCESS = """
import asyncio
from config.local_stack import load_for_process
from edits.storage.links import Links
from edits.storage.backends import StorageError
from edits.storage.store import Storage

settings = load_for_process("worker")
storage = Storage(settings.storage_url, links=Links("x" * 32), public_url=settings.public_url)
try:
    asyncio.run(storage.check())
except StorageError as exc:
    raise SystemExit(f"{type(exc).__name__}: {exc}")
print("written, read and deleted")
"""
OURS = {
    "RETOUCH_REDIS_URL": "redis://127.0.0.1:1/0",
    "RETOUCH_SECRET_KEY": "a-secret-of-thirty-two-bytes-or-more",
    "RETOUCH_QUBICO__BASE_URL": "http://127.0.0.1:9",
    "RETOUCH_QUBICO__API_KEY": "key",
}


def run(folder: Path, dotenv: dict[str, str], **environ: str) -> str:
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in (OURS | dotenv).items()))
    foreign = ("AWS_", "AZURE_", "GOOGLE_", "RETOUCH_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        env=inherited | {"PYTHONPATH": str(ROOT)} | environ, cwd=folder,
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    return done.stdout.strip() or done.stderr.strip()


def test_the_keys_of_s3_stand_in_dotenv(s3_server: S3Server, s3_url: str, tmp_path: Path) -> None:
    dotenv = s3_server.env | {"RETOUCH_STORAGE_URL": s3_url}
    assert run(tmp_path, dotenv) == "written, read and deleted"
    wrong = run(tmp_path, dotenv, AWS_SECRET_ACCESS_KEY="wrong")  # the environment beats the file
    assert wrong.startswith("StorageRefused")
    assert run(tmp_path, dotenv, AWS_SECRET_ACCESS_KEY="") == "written, read and deleted"  # empty is not set


def test_the_keys_of_azure_stand_in_dotenv(azure_server: AzureServer, container_url: str, tmp_path: Path) -> None:
    dotenv = azure_server.env | {"RETOUCH_STORAGE_URL": container_url}
    assert run(tmp_path, dotenv) == "written, read and deleted"
    wrong = run(tmp_path, dotenv, AZURE_STORAGE_ACCOUNT_KEY="d3Jvbmc=")
    assert wrong.startswith("StorageRefused")


@pytest.mark.parametrize("name", ["GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"])
def test_the_keys_of_google_stand_in_dotenv(name: str, tmp_path: Path) -> None:
    """There is no Google to ask here: that the file is looked for shows that its name has come through."""
    dotenv = {name: str(tmp_path / "nobody-wrote-this.json"), "RETOUCH_STORAGE_URL": "gs://bucket/prefix"}
    assert "GOOGLE_*" in run(tmp_path, dotenv)
