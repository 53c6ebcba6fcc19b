"""Edits several pictures concurrently, saves the results in one folder and prints a summary."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli import arguments, output, pictures
from cli.client import Client
from cli.commands import follow, submit
from cli.commands.submit import EditRequest
from cli.errors import WorkFailed, WrongUsage
from cli.explain import duration
from cli.sources import Found, Source
from cli.views import Edit

ON_THE_WAY = 32  # edits followed at once: above the task limit of most accounts, below what loads the API
SENDING = 4  # pictures in memory at once


def folder_for(found: Found, out: str | None) -> Path:
    """Folder for results: `out`, else one named after the only source folder, else the working folder."""
    if out is None and len(found.folders) == 1:
        folder = Path(f"{found.folders[0].resolve().name}-retouched")
    else:
        folder = arguments.path(out or ".", name="--out")
    if folder.resolve() in [source.resolve() for source in found.folders]:
        raise WrongUsage(f"--out: {folder} is the source folder; the next run would edit the results")
    return pictures.make_folder(folder)


@dataclass(frozen=True)
class Outcome:
    """Result of one picture; `edit` is None if it was not accepted."""

    source: Source
    edit: Edit | None = None
    known: bool = False
    saved: Path | None = None
    trouble: str = ""


Tell = Callable[[Outcome, Counter[str]], None]


@dataclass
class Batch:
    client: Client
    request: EditRequest
    folder: Path
    wait: bool
    as_json: bool
    counts: Counter[str] = field(default_factory=Counter)
    spent: Decimal = Decimal(0)
    following: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ON_THE_WAY))
    sending: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SENDING))

    async def run(self, found: Found) -> int:
        """The exit code: 1 when some failed."""
        began = time.monotonic()
        await self.client.recent(1)  # one error here instead of one per picture
        if found.passed_over:
            output.note(f"skipped (not pictures): {found.passed_over}")
        with _progress(len(found.sources)) as tell:
            try:
                await self._all(found.sources, tell)
            except asyncio.CancelledError:
                output.note("submitted edits continue; the same command follows them and buys nothing twice")
                raise
        self._sum_up(timedelta(seconds=time.monotonic() - began))
        return 1 if self.counts["failed"] else 0

    async def _all(self, sources: tuple[Source, ...], tell: Tell) -> None:
        tasks = [asyncio.create_task(self._one(source)) for source in sources]
        try:
            for done in asyncio.as_completed(tasks):
                outcome = await done
                self._count(outcome)
                self._print(outcome)
                tell(outcome, self.counts)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, source: Source) -> Outcome:
        """Raises only errors that concern all pictures, such as Unreachable."""
        edit, known, saved = None, False, None
        async with self.following:
            try:
                async with self.sending:
                    edit, known = await submit.submit_picture(self.client, source, self.request)
                if self.wait:
                    edit = await follow.until_ended(self.client, edit.id, lambda _: None)
                    saved = await self._save(source, edit)
            except (WorkFailed, WrongUsage) as error:
                return Outcome(source, edit, known, trouble=str(error))
        return Outcome(source, edit, known, saved)

    async def _save(self, source: Source, edit: Edit) -> Path:
        if edit.status != "succeeded" or edit.result is None:
            raise WorkFailed(str(edit.error or edit.status))
        result = partial(self.client.result, edit.id)
        return await pictures.save(result, result=edit.result, image=source.name, out=str(self.folder))

    def _count(self, outcome: Outcome) -> None:
        self.counts["failed" if outcome.trouble else "done"] += 1
        self.counts["known"] += outcome.known
        edit = outcome.edit
        if edit is None:
            return
        self.counts["sandbox"] += not edit.livemode
        if not outcome.known and edit.cost_state in {"charged", "unknown"}:
            self.spent += edit.usd

    def _print(self, outcome: Outcome) -> None:
        if self.as_json:
            refused = {"id": None, "status": None, "error": {"kind": "not_accepted", "message": outcome.trouble}}
            saved = str(outcome.saved.absolute()) if outcome.saved else None
            shown = outcome.edit.raw if outcome.edit else refused
            output.data_json(shown | {"source": outcome.source.name, "saved_to": saved})
        elif outcome.saved:
            output.data(str(outcome.saved))
        elif outcome.edit is not None and not self.wait:
            output.data(outcome.edit.id)

    def _sum_up(self, took: timedelta) -> None:
        done, failed, known = self.counts["done"], self.counts["failed"], self.counts["known"]
        word = "succeeded" if self.wait else "submitted"
        said = [f"{done} of {done + failed} {word} in {duration(took)}"]
        if failed:
            said.append(f"{failed} failed; the same command retries those that may succeed")
        if known:
            said.append(f"{known} bought before and reused")
        if self.wait:
            said.append(f"${self.spent}" + (" (sandbox: nothing was bought)" if self.counts["sandbox"] else ""))
        output.note("; ".join(said))


@contextmanager
def _progress(total: int) -> Iterator[Tell]:
    """A progress bar at a terminal, else one line per picture."""
    screen = output.console(sys.stderr)
    if not screen.is_terminal:
        yield lambda outcome, counts: output.note(f"[{counts['done'] + counts['failed']}/{total}] {_line(outcome)}")
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    # A redirected stdout must not be captured by the bar.
    with Progress(*columns, console=screen, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task("editing", total=total)

        def tell(outcome: Outcome, counts: Counter[str]) -> None:
            failed = f", {counts['failed']} failed" if counts["failed"] else ""
            bar.update(task, advance=1, description=f"editing{failed}")
            if outcome.trouble:
                bar.console.print(Text(_line(outcome), style="red"))

        yield tell


def _line(outcome: Outcome) -> str:
    name, edit = outcome.source.name, outcome.edit
    if outcome.trouble or edit is None:
        return f"{name}: {f'{edit.id} failed: ' if edit else ''}{outcome.trouble}"
    if outcome.saved is None:
        return f"{name}: {edit.id} submitted"
    took = f" in {duration(edit.took)}" if edit.took is not None and not outcome.known else ""
    return f"{name}: {edit.id} succeeded{took} → {outcome.saved}"
