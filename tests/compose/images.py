"""The images of docker-compose.yml where no registry can be reached: a base from Debian, ours, and stand-ins."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from cli.local import programs as commands
from tests.compose.engine import Engine, make_base

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
STANDINS = Path(__file__).parent / "standins"
BUILD_SETTINGS = {
    "PIP_INDEX_URL": "global.index-url",
    "PIP_EXTRA_INDEX_URL": "global.extra-index-url",
    "PIP_TRUSTED_HOST": "global.trusted-host",
    "PIP_CERT": "global.cert",
}
"""Arguments of the Dockerfile, and what pip calls them."""


def base_image() -> str:
    return re.search(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)[1]  # type: ignore[index]


def image_of(service: str) -> str:
    return str(yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))["services"][service]["image"])


def make_all(engine: Engine, scratch: Path) -> None:
    make_base(engine, scratch, base_image())
    build_ours(engine, scratch)
    make_standins(engine, scratch)


def build_ours(engine: Engine, scratch: Path) -> None:
    """By compose, with the host's network and pip's own settings, which the file itself knows nothing of."""
    override = scratch / "build.yml"
    settings = pip_settings()
    override.write_text(json.dumps({"services": {"init": {"build": {"network": "host", "args": settings}}}}))
    engine.docker("compose", "-f", str(COMPOSE_FILE), "-f", str(override), "build", "--quiet", cwd=ROOT)


def pip_settings() -> dict[str, str]:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = dict(re.findall(r"^([\w.-]+)='(.*)'$", listed, re.MULTILINE))
    given = {name: os.environ.get(name) or found.get(key, "") for name, key in BUILD_SETTINGS.items()}
    # A folder of this machine is not in the container; the certificates are, make_base put them there.
    return {
        name: " ".join(word for word in value.split() if not word.startswith(("file:", "/")) or name == "PIP_CERT")
        for name, value in given.items()
        if value
    }


def make_standins(engine: Engine, scratch: Path) -> None:
    weed = Path(sys.executable).with_name("weed")
    programs = {"valkey": {"valkey-server": Path(commands.valkey_binary())}, "s3": {"weed": weed}}
    for service, binaries in programs.items():
        context = scratch / f"standin-{service}"
        shutil.copytree(STANDINS, context)
        for name, program in binaries.items():
            shutil.copy(program.resolve(), context / name)
        engine.docker("build", "-q", "--network", "none", "-t", image_of(service), str(context))
