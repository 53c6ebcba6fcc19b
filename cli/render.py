"""Tables of edits, timelines and settings."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from rich import box
from rich.table import Table
from rich.text import Text

from cli.explain import duration
from cli.views import Edit, Event
from config.settings import Row

COLOURS = {"succeeded": "green", "failed": "red", "canceled": "yellow"}
SHOWN_PROMPT = 48  # characters of a prompt in a list


def card(rows: Iterable[tuple[str, Text]]) -> Table:
    """One line per row: a name and its value."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def edit_card(edit: Edit) -> Table:
    return card(_lines(edit))


def _lines(edit: Edit) -> Iterable[tuple[str, Text]]:
    yield "id", Text(edit.id)
    yield "status", _status(edit)
    if edit.waiting_for:
        yield "waiting for", Text(edit.waiting_for)
    yield "prompt", Text(edit.prompt)
    yield "created", Text(f"{edit.created_at:%Y-%m-%d %H:%M:%S} UTC")
    if edit.took is not None:
        yield "took", Text(duration(edit.took))
    if edit.result:
        yield "result", Text(f"{edit.result.url} ({edit.result.content_type}, {edit.result.bytes:,} bytes)")
    if edit.error:
        yield "error", Text(str(edit.error))
    yield "cost", Text(f"${edit.usd} {edit.cost_state}{'' if edit.livemode else ' (sandbox: nothing was bought)'}")


def edit_list(edits: Sequence[Edit]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("id", "status", "waiting for", "created (UTC)"):
        table.add_column(heading, no_wrap=True)
    table.add_column("prompt")  # cut on a narrow screen
    for edit in edits:
        prompt = edit.prompt.replace("\n", " ")
        shown = prompt if len(prompt) <= SHOWN_PROMPT else f"{prompt[: SHOWN_PROMPT - 1]}…"
        cut = Text(shown, no_wrap=True, overflow="ellipsis")
        table.add_row(edit.id, _status(edit), edit.waiting_for or "", f"{edit.created_at:%m-%d %H:%M:%S}", cut)
    return table


def spans(events: Iterable[Event]) -> list[tuple[str, timedelta]]:
    """Total time of each wait, in order of first appearance."""
    spent: dict[str, int] = defaultdict(int)
    for event in events:
        if event.duration_ms:
            spent[event.wait or event.type] += event.duration_ms
    return [(wait, timedelta(milliseconds=milliseconds)) for wait, milliseconds in spent.items()]


def where_time_went(events: Iterable[Event]) -> Table:
    went = spans(events)
    whole = sum((span for _, span in went), timedelta())
    table = Table(title="Where the time went", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("wait")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    for wait, span in went:
        table.add_row(wait, f"{span.total_seconds():.2f}", f"{span / whole:.0%}")
    table.add_section()
    table.add_row("total", f"{whole.total_seconds():.2f}", "100%")
    return table


def settings_table(rows: Iterable[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "value", "source", "meaning"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(Text(row.name), Text(row.value), Text(row.source), Text(row.meaning))
    return table


def _status(edit: Edit) -> Text:
    return Text(edit.status, style=COLOURS.get(edit.status, ""))
