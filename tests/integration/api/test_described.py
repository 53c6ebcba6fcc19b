"""All that the description allows, and much that it does not, is asked of the API; it answers as described.

schemathesis asks, in a process of its own. FUZZ_TIMES and FUZZ_SEED: how much, and from where.
"""

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api import server
from edits.attempts import Attempt, Tokens
from edits.storage import layout
from edits.storage.links import Links
from tests.integration.api.conftest import KEY, SECRET, Api, serving, settings_for
from tests.integration.api.progress import png, progress_of
from tests.parts.fuzzing import SEED, TIMES
from tests.parts.stack import ROOT
from tests.parts.valkey import free_port

EXAMPLES = 6
WITHIN = 500 * TIMES

CONFIG = """
hooks = "tests.integration.api.described"
warnings = false

[generation]
database = "none"
with-security-parameters = false

[dictionaries.ids]
values = [{ids}]
[dictionaries.tokens]
values = [{tokens}]
[dictionaries.names]
values = ["input.png", "result.png"]

[parameters]
Prefer = "wait=0"  # nobody brings these edits on
edit_id = {{ dictionary = "ids", probability = 0.7 }}
token = {{ dictionary = "tokens", probability = 0.7 }}
filename = {{ dictionary = "names", probability = 0.7 }}

[[operations]]  # the one with a body worth the name
include-operation-id = "create_edit"
generation = {{ max-examples = {most} }}

# What fits its schema may still not be there, be no mark or picture of ours, or lead nowhere.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 400, 401, 404, 409, 410, 413, 415, 416, 422]
"""


@pytest.fixture
def hardened(redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """As `retouch api` serves it."""
    settings = settings_for(redis_url, tmp_path, free_port())
    with serving(settings, http=server.Protocol, ws="none", server_header=False) as api:
        yield api


async def edits_of_every_kind(api: Api) -> dict[str, str]:
    image = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    async with progress_of(api.settings) as progress:
        api.accept(image=image)
        succeeded = await progress.succeeded(png())
        failed = str(api.accept()["id"])
        await progress.failed()
        processing = str(api.accept()["id"])
        await progress.processing("task-2")
        left = str(api.accept()["id"])
        await progress.succeeded(png())
    waiting = {f"queued {n}": str(api.accept(image=image)["id"]) for n in range(3)}
    return {"succeeded": succeeded, "failed": failed, "processing": processing, "left": left} | waiting


def tokens_for(edits: dict[str, str]) -> list[str]:
    """Links to pictures and tokens of callbacks: schemathesis knows only that both are called `token`."""
    links, until = Links(SECRET), datetime.now(UTC) + timedelta(hours=1)
    keys = [layout.result_key(edits["succeeded"], 1, "png"), f"{layout.edit_folder(edits['queued 0'])}/input.png"]
    return [
        *(links.sign(key, expires_at=until) for key in keys),
        links.sign(keys[0], expires_at=datetime.now(UTC)),
        *(Tokens("retouch", SECRET).sign(Attempt(edit_id, 1)) for edit_id in edits.values()),
    ]


@pytest.mark.timeout(WITHIN + 30)
async def test_the_api_does_what_its_description_says(hardened: Api, tmp_path: Path) -> None:
    edits = await edits_of_every_kind(hardened)
    quoted = {
        "most": str(8 * EXAMPLES * TIMES),
        "ids": ", ".join(f'"{edit_id}"' for edit_id in edits.values()),
        "tokens": ", ".join(f'"{token}"' for token in tokens_for(edits)),
    }
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(**quoted))
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run",
        f"{hardened.url}/openapi.json", "--header", f"X-API-Key: {KEY}", "--checks", "all", "--seed", str(SEED),
        "--max-examples", str(EXAMPLES * TIMES), "--request-timeout", "90", "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    told = await asyncio.to_thread(_run, command, tmp_path)
    assert told.returncode == 0, told.stdout[-12_000:] + told.stderr[-2000:]
    assert "Tested: 16" in told.stdout
    assert hardened.client.get("/readyz").json()["status"] == "ok"
    listed = hardened.client.get("/v1/edits?limit=200").json()["data"]
    uploads = [edit for edit in listed if edit["input"]["image"].endswith("/input")]
    assert len(listed) > len(edits) + 10, "hardly anything that was asked was taken"
    assert len(uploads) > 2, "hardly any picture was taken"


def _run(command: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """In a folder of the test: schemathesis leaves its notes where it is started."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=WITHIN, check=False)
