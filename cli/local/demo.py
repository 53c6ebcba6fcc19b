"""`retouch demo`: edits one picture on a temporary system that ignores all settings."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.text import Text

from cli import output, pictures, render, sources
from cli.client import Client
from cli.commands import follow, submit
from cli.errors import WorkFailed
from cli.local import ports, signals, stack
from cli.local.programs import ROOT
from cli.local.supervisor import Supervisor

PICTURE = ROOT / "samples" / "landscape.jpg"
PROMPT = "Make it a snowy winter evening"
GRACE = 5.0  # seconds
LATENCY = {"SANDBOX_LATENCY": "2", "SANDBOX_LATENCY_SIGMA": "0.1", "SANDBOX_WAIT": "0.5"}


async def run() -> int:
    began = time.monotonic()
    with _apart() as env:
        settings = env.load()
        system = stack.build(env, settings=settings, ports=ports.Ports())
        supervisor = Supervisor(system.services, logs=env.folder / "logs", say=output.note, grace=GRACE)

        async def work() -> None:
            output.note(f"ready after {time.monotonic() - began:.1f} s")
            await _edit(Client(system.up.api_url, system.up.api_key))
            output.note("stopping …")

        output.note("starting Valkey, the Qubico sandbox, the API, a worker and Flower …")
        if await signals.run(supervisor, work) is not None:
            return signals.INTERRUPTED
    output.data("\nsandbox: nothing was bought\nnext: make up")
    return 0


@contextmanager
def _apart() -> Iterator[stack.Environment]:
    """A temporary folder and environment without user settings or `.env`, so nothing can be bought."""
    foreign = ("RETOUCH_", "SANDBOX_", "FLOWER_")
    with tempfile.TemporaryDirectory(prefix="retouch-demo-", ignore_cleanup_errors=True) as folder:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        own = {
            "RETOUCH_DATA_DIR": folder,
            "RETOUCH_API__PORT": str(ports.unclaimed()),
            "RETOUCH_WORKER__PROCESSES": "1",
            "RETOUCH_SHUTDOWN_GRACE": f"{GRACE:.0f}s",
        }
        yield stack.Environment(environ={**kept, **LATENCY, **own}, folder=Path(folder))


async def _edit(client: Client) -> None:
    async with client:
        source = sources.Source(str(PICTURE), PICTURE)
        edit, _ = await submit.submit_picture(client, source, submit.EditRequest(prompt=PROMPT))
        output.note(f"{edit.id}: {PICTURE.name}, “{PROMPT}”")
        with follow.progress() as show:
            edit = await follow.until_ended(client, edit.id, show)
        if edit.status != "succeeded" or edit.result is None:
            raise WorkFailed(edit.outcome)
        folder = _gallery()
        before = Path(shutil.copyfile(PICTURE, folder / f"before{PICTURE.suffix}"))
        after = folder / f"after.{pictures.ENDINGS.get(edit.result.content_type, 'bin')}"
        with after.open("wb") as file:
            async with client.result(edit.id) as content:
                await pictures.copy(content, file, result=edit.result)
        timeline = await client.timeline(edit.id)
    output.data(_link("before", before))
    output.data(_link("after ", after))
    output.data(render.where_time_went(timeline))


def _gallery() -> Path:
    """Folder for the pictures: `var/demo`, or a temporary one if that cannot be written."""
    folder = Path("var/demo").absolute()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="retouch-pictures-"))


def _link(name: str, path: Path) -> Text:
    """A file URL, as a terminal link."""
    return Text.assemble((f"{name} ", "bold"), (path.as_uri(), f"link {path.as_uri()}"))
