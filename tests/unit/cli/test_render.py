"""Tables for people, read as text."""

import io
from datetime import timedelta

from rich.console import Console

from cli import render
from cli.views import Edit, Event
from config.settings import Row

AT = "2026-11-22T12:00:00Z"


def text(table, *, width=200):
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    return out.getvalue()


def timeline(events):
    return [Event.model_validate(one) for one in events]


def event(seq, wait, milliseconds, *, kind="step"):
    return {"seq": seq, "at": AT, "type": kind, "wait": wait, "duration_ms": milliseconds, "data": {}}


def test_spans_of_the_same_wait_add_up_in_the_order_they_came():
    events = timeline([event(1, None, 0), event(2, "copy", 250), event(3, "notice", 500), event(4, "copy", 250)])
    assert render.spans(events) == [("copy", timedelta(seconds=0.5)), ("notice", timedelta(seconds=0.5))]


def test_a_span_without_a_name_goes_by_its_event():
    assert render.spans(timeline([event(1, None, 40, kind="accepted")])) == [("accepted", timedelta(milliseconds=40))]


def test_where_the_time_went_shows_shares_of_the_whole():
    shown = text(render.where_time_went(timeline([event(1, "provider_run", 3000), event(2, "copy", 1000)])))
    assert "provider_run      3.00     75%" in shown
    assert "total             4.00    100%" in shown


def test_an_edit_without_spans_is_no_trouble():
    assert "total" in text(render.where_time_went([]))


def test_a_card_shows_what_is_there():
    edit = Edit.model_validate(
        {
            "id": "edit_1", "status": "failed", "livemode": False, "created_at": AT,
            "finished_at": "2026-11-22T12:00:05Z",
            "input": {"prompt": "make [bold]it[/bold] blue", "image": "…"}, "cost": {"usd": "0.02", "state": "charged"},
            "error": {"kind": "provider_failed", "message": "no [red]luck[/red]", "retryable": True},
        }
    )  # fmt: skip
    shown = text(render.edit_card(edit))
    assert "make [bold]it[/bold] blue" in shown  # what users wrote is never read as markup
    assert "provider_failed: no [red]luck[/red]" in shown
    assert "5.0 s" in shown
    assert "sandbox: nothing was bought" in shown


def test_a_list_keeps_long_prompts_on_one_line():
    edit = Edit.model_validate(
        {"id": "edit_1", "status": "queued", "created_at": AT, "input": {"prompt": "a\nb " + "x" * 100}}
    )
    shown = text(render.edit_list([edit]))
    assert "a b xxx" in shown
    assert "…" in shown
    assert shown.count("x") < render.SHOWN_PROMPT


def test_ids_and_states_are_whole_on_a_narrow_screen_and_the_prompt_gives_way():
    edit = Edit.model_validate(
        {
            "id": "edit_03QCPC7P00PR2GCXEP2HV2F44X", "status": "processing", "created_at": AT,
            "waiting": {"for": "provider_account"}, "input": {"prompt": "make it much more colourful " * 9},
        }
    )  # fmt: skip
    row = next(line for line in text(render.edit_list([edit]), width=100).splitlines() if "edit_" in line)
    for whole in ("edit_03QCPC7P00PR2GCXEP2HV2F44X", "processing", "provider_account", "11-22 12:00:00", "make"):
        assert whole in row
    assert row.rstrip().endswith("…")


def test_settings_show_name_value_source_and_meaning():
    shown = text(render.settings_table([Row("RETOUCH_API__PORT", "8000", "default", "port of the API")]))
    assert all(word in shown for word in ("RETOUCH_API__PORT", "8000", "default", "port of the API"))
