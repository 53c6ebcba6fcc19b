"""Headless Chromium: renders a page, runs its scripts and returns the HTML."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000",
)  # fmt: skip


class Browser:
    def __init__(self, binary: str, profile: Path) -> None:
        self._command = (binary, *FLAGS, f"--user-data-dir={profile}")

    def document(self, address: str) -> str:
        """The page's HTML after its scripts have run."""
        return self._run("--dump-dom", address)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, timeout=170, check=True)
        return done.stdout


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """Named by $CHROMIUM, or found on the PATH."""
    names = (os.environ.get("CHROMIUM"), "chromium", "google-chrome", "chromium-browser")
    binary = next((found for name in names if name and (found := shutil.which(name))), None)
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing: scripts/ci-parts installs it")
        pytest.skip("Chromium is not installed: apt-get install chromium, or set CHROMIUM")
    return Browser(binary, tmp_path / "profile")
