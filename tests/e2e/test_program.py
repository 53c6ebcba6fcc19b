"""The program as a user runs it: its usage, how it finds a server, and its settings."""

import os
import pty
import resource
import subprocess

import pytest

from tests.parts import stack as parts
from tests.parts.stack import PICTURE, ROOT, environment, listed, program
from tests.parts.valkey import free_port

UNKNOWN = "edit_03QCPC7P00PR2GCXEP2HV2F44X"


# --- usage ---


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["edit", "absent.png", "Make it sepia"], b"absent.png: no such file"),
        (["edit", __file__, "Make it sepia"], b"not a PNG, JPEG or WebP picture"),
        (["edit", PICTURE, "  "], b"/prompt"),
        (["edit", PICTURE], b"PROMPT"),
        (["edit", PICTURE, "p", "-o", PICTURE], b"is not overwritten"),
        (["edit", PICTURE, "https://example.com/a.png", "p", "-o", "-"], b"takes one picture"),
        (["edit", str(ROOT / "samples"), "p", "-o", str(ROOT / "samples")], b"is the source folder"),
        (["edit", str(ROOT / "config"), "p"], b"no PNG, JPEG or WebP picture in"),
        (["edit", PICTURE, "p", "--priority", "urgent"], b"urgent"),
        (["edit", PICTURE, "p", "--width", "100", "--height", "100"], b"/width"),
        (["edit", PICTURE, "p", "-o", "-", "--json"], b"both write to stdout"),
        (["status", UNKNOWN], UNKNOWN.encode()),
        (["cancel", ""], b"ID is empty"),
        (["worker", "--steps", "submit,beat"], b"beat is not a step"),
        (["dance"], b"dance"),
    ],
)
def test_wrong_usage_ends_with_two_and_says_what_is_wrong(stack, arguments, told):
    answer = stack.program(*arguments)
    assert answer.returncode == 2, answer
    assert told in answer.stderr
    assert answer.stdout == b""


def test_ids_are_read_in_any_letter_case(stack):
    (edit,) = listed(stack.program("edit", PICTURE, "Make it sepia", "--no-wait", "--json"))
    written = edit["id"].lower()
    for command in ("status", "explain", "cancel"):
        answer = stack.program(command, written, "--json")
        if command == "cancel" and answer.returncode == 1:  # it was submitted meanwhile
            assert edit["id"].encode() in answer.stderr
            continue
        assert [shown["id"] for shown in listed(answer)] == [edit["id"]], answer


# --- finding the server ---


def test_without_a_server_the_program_says_how_to_start_one(tmp_path):
    answer = program("status", folder=tmp_path, environ=environment(tmp_path))
    assert answer.returncode == 3
    assert b"`make up`" in answer.stderr


def test_a_server_that_is_not_there_is_unreachable(tmp_path):
    address = f"http://127.0.0.1:{free_port()}"
    environ = environment(tmp_path, RETOUCH_CLIENT__URL=address, RETOUCH_CLIENT__API_KEY="k")
    answer = program("status", folder=tmp_path, environ=environ)
    assert answer.returncode == 3
    assert address.encode() in answer.stderr


def test_the_client_goes_where_it_is_told(stack, tmp_path):
    there = {"RETOUCH_CLIENT__URL": stack.api_url, "RETOUCH_CLIENT__API_KEY": stack.api_key}
    assert program("status", folder=tmp_path, environ=environment(tmp_path, **there)).returncode == 0
    refused = environment(tmp_path, **there | {"RETOUCH_CLIENT__API_KEY": "wrong"})
    assert program("status", folder=tmp_path, environ=refused).returncode == 2


# --- settings ---


def test_config_shows_every_setting_and_no_secret(stack):
    answer = stack.program("config", "--json")
    rows = {row["name"]: row for row in listed(answer)}
    assert rows["RETOUCH_SHUTDOWN_GRACE"]["value"] == "5s"
    assert rows["RETOUCH_SHUTDOWN_GRACE"]["source"] == "environment"
    assert rows["RETOUCH_REDIS_URL"]["value"] == stack.redis_url
    assert rows["RETOUCH_REDIS_URL"]["source"].startswith("up of ")
    everything = answer.stdout.decode() + stack.program("config").stdout.decode()
    for secret in (stack.api_key, stack.setting("RETOUCH_SECRET_KEY"), stack.setting("RETOUCH_FLOWER__PASSWORD")):
        assert secret not in everything


@pytest.mark.parametrize("command", ["up", "api", "worker", "flower", "sandbox", "config", "status"])
def test_faulty_settings_end_every_command_with_two_and_all_faults(command, tmp_path):
    environ = environment(tmp_path, RETOUCH_LOG__LEVEL="loud", RETOUCH_SHUTDOWN_GRACE="20", RETOUCH_WOKER="1")
    answer = program(command, folder=tmp_path, environ=environ)
    assert answer.returncode == 2
    for name in (b"RETOUCH_LOG__LEVEL", b"RETOUCH_SHUTDOWN_GRACE", b"RETOUCH_WOKER"):
        assert name in answer.stderr


@pytest.mark.parametrize("command", ["api", "worker", "flower"])
def test_a_part_alone_needs_a_redis_or_an_up_to_join(command, tmp_path):
    answer = program(command, folder=tmp_path, environ=environment(tmp_path))
    assert answer.returncode == 2
    assert b"RETOUCH_REDIS_URL" in answer.stderr


def test_the_template_for_production_lacks_only_what_must_be_filled_in(tmp_path):
    environ = environment(tmp_path)
    answer = program("config", "--template", "production", folder=tmp_path, environ=environ)
    assert answer.returncode == 0
    (tmp_path / ".env").write_bytes(answer.stdout)
    refused = program("doctor", "--json", folder=tmp_path, environ=environ)
    assert refused.returncode == 2
    missing = {edit["said"].split()[0] for edit in listed(refused)}
    assert missing == {
        "RETOUCH_SECRET_KEY", "RETOUCH_API__ADMIN_KEY", "RETOUCH_QUBICO__BASE_URL", "RETOUCH_QUBICO__API_KEY",
        "RETOUCH_FLOWER__PASSWORD",
    }  # fmt: skip
    assert program("config", "--template", "space", folder=tmp_path, environ=environ).returncode == 2


def test_shells_complete_commands_and_options(tmp_path):
    environ = environment(tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    script = program("--show-completion", "bash", folder=tmp_path, environ=environ)
    assert script.returncode == 0
    assert b"complete -o default -F _retouch_completion retouch" in script.stdout
    for words, offered in (("retouch e", {"edit", "explain"}), ("retouch edit --pri", {"--priority"})):
        count = str(len(words.split()) - 1)
        asked = environ | {"_RETOUCH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
        assert set(program(folder=tmp_path, environ=asked).stdout.decode().split()) == offered


def test_help_answers_at_once(tmp_path):
    def spent():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()  # in processor time, as the machine may be busy with other things
    answer = program("--help", folder=tmp_path, environ=environment(tmp_path))
    assert answer.returncode == 0
    assert spent() - before < 0.9


def test_at_a_terminal_there_are_colours_unless_they_are_not_wanted(stack):
    def shown(**more):
        primary, secondary = pty.openpty()
        environ = (
            {name: value for name, value in stack.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | more
        )
        subprocess.run([*parts.PROGRAM, "explain", "x"], cwd=stack.folder, env=environ, stderr=secondary, check=False)
        os.close(secondary)
        with os.fdopen(primary, "rb", closefd=True) as screen:
            return screen.read1()

    assert b"\x1b[" in shown()
    assert b"\x1b[" not in shown(NO_COLOR="1")
