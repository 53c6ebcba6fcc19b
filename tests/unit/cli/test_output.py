"""Ends of the program: one message, one exit code."""

import pytest

from cli import output
from cli.errors import Unreachable, WorkFailed, WrongUsage
from config.errors import Fault, SettingsError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WorkFailed("said"), 1),
        (WrongUsage("said"), 2),
        (Unreachable("said"), 3),
        (SettingsError([Fault("RETOUCH_API__PORT", "environment", "said")]), 2),
    ],
)
def test_each_end_has_its_exit_code_and_is_told_on_stderr(error, code, capsys):
    async def work():
        raise error

    with pytest.raises(SystemExit) as ended, output.ending():
        output.run(work())
    assert ended.value.code == code
    told = capsys.readouterr()
    assert "said" in told.err
    assert told.out == ""


def test_data_in_a_pipe_has_no_colour_and_no_broken_lines(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    output.data("x" * 300)
    assert capsys.readouterr().out == "x" * 300 + "\n"


def test_json_is_one_line_of_what_was_given(capsys):
    output.data_json({"prompt": "löwe\nzwei"})
    assert capsys.readouterr().out == '{"prompt": "löwe\\nzwei"}\n'


def test_notes_are_never_read_as_markup(capsys):
    output.note("[bold]as written[/bold]")
    assert capsys.readouterr().err == "[bold]as written[/bold]\n"
