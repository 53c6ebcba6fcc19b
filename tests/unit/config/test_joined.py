"""A process without a Redis of its own joins the `up` of its data folder, or says what to do."""

import os
import stat
import subprocess
import sys

import pytest

from config import local_stack
from config.settings import SettingsError

KEY = "k" * 32
MADE = {
    "RETOUCH_REDIS_URL": "redis://127.0.0.1:6399/0",
    "RETOUCH_SECRET_KEY": KEY,
    "RETOUCH_API__ADMIN_KEY": "made",
    "RETOUCH_QUBICO__BASE_URL": "http://127.0.0.1:8001",
    "RETOUCH_QUBICO__API_KEY": "sandbox",
    "RETOUCH_FLOWER__PASSWORD": "flower",
}


def running(**changed):
    fields = {"pid": os.getpid(), "api_url": "http://127.0.0.1:8000", "api_key": "made", "environment": MADE}
    return local_stack.Up(**(fields | changed))


def load(data_dir, part="api", **environ):
    return local_stack.load_for_process(part, environ={"RETOUCH_DATA_DIR": str(data_dir), **environ}, dotenv=None)


def ended_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_up_is_written_whole_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "deep" / "var" / "up.json"
    local_stack.announce(path.parent, running())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["up.json"]
    found = local_stack.find(tmp_path / "deep" / "var")
    assert found is not None
    assert (found.pid, found.environment) == (os.getpid(), MADE)


def test_a_process_joins_the_up_of_its_folder(tmp_path):
    local_stack.announce(tmp_path, running())
    settings = load(tmp_path)
    assert settings.redis_url == MADE["RETOUCH_REDIS_URL"]
    assert settings.broker_url == "redis://127.0.0.1:6399/1"
    assert settings.sources["RETOUCH_REDIS_URL"] == f"up of {tmp_path}"
    assert settings.explicit == {"RETOUCH_DATA_DIR"}
    assert settings.livemode is False


def test_what_is_set_beats_what_up_made(tmp_path):
    local_stack.announce(tmp_path, running())
    settings = load(tmp_path, RETOUCH_API__ADMIN_KEY="mine")
    assert settings.api.admin_key is not None
    assert settings.api.admin_key.get_secret_value() == "mine"


@pytest.mark.parametrize("content", [None, "", "{", '{"pid": "x"}'])
def test_without_an_up_the_way_out_is_named(content, tmp_path):
    if content is not None:
        (tmp_path / "up.json").write_text(content)
    with pytest.raises(SettingsError, match="set RETOUCH_REDIS_URL or start `retouch up`"):
        load(tmp_path)


def test_an_up_that_is_gone_is_not_joined(tmp_path):
    local_stack.announce(tmp_path, running(pid=ended_pid()))
    assert local_stack.find(tmp_path) is None
    with pytest.raises(SettingsError, match="none is running in"):
        load(tmp_path)


def test_another_process_with_the_same_pid_is_not_taken_for_it(tmp_path):
    local_stack.announce(tmp_path, running(started="12345"))
    assert local_stack.find(tmp_path) is None


@pytest.mark.parametrize("told_by", [local_stack._started, local_stack._by_ps])
def test_when_a_process_began_is_told_while_it_runs(told_by):
    assert told_by(os.getpid()) == told_by(os.getpid()) != ""
    assert told_by(ended_pid()) == ""


def test_a_process_with_a_redis_of_its_own_does_not_look_for_an_up(tmp_path):
    local_stack.announce(tmp_path, running())
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, "api", RETOUCH_REDIS_URL="redis://127.0.0.1:1/0")
    assert {fault.name for fault in refused.value.faults} == {
        "RETOUCH_SECRET_KEY",
        "RETOUCH_QUBICO__BASE_URL",
        "RETOUCH_QUBICO__API_KEY",
        "RETOUCH_API__ADMIN_KEY",
    }


@pytest.mark.parametrize(
    ("part", "needed"),
    [
        (
            "worker",
            {"RETOUCH_SECRET_KEY": KEY, "RETOUCH_QUBICO__BASE_URL": "https://a", "RETOUCH_QUBICO__API_KEY": "k"},
        ),
        ("flower", {"RETOUCH_FLOWER__PASSWORD": "f"}),
    ],
)
def test_a_part_asks_only_for_what_it_needs(part, needed, tmp_path):
    environ = {"RETOUCH_REDIS_URL": "redis://127.0.0.1:1/0", **needed}
    assert load(tmp_path, part, **environ).redis_url == "redis://127.0.0.1:1/0"


def test_the_storage_keys_of_dotenv_reach_the_storage_client(tmp_path, monkeypatch):
    local_stack.announce(tmp_path, running())
    (tmp_path / ".env").write_text("AWS_REGION=below\nAWS_ACCESS_KEY_ID=below\n")
    monkeypatch.setenv("RETOUCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("AWS_REGION", "above")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "set, so that it is put back afterwards")
    del os.environ["AWS_ACCESS_KEY_ID"]
    local_stack.load_for_process("api", dotenv=tmp_path / ".env")
    assert (os.environ["AWS_REGION"], os.environ["AWS_ACCESS_KEY_ID"]) == ("above", "below")


def test_only_its_own_up_is_withdrawn(tmp_path):
    local_stack.announce(tmp_path, running())
    local_stack.withdraw(tmp_path, pid=os.getpid() + 1)
    assert local_stack.find(tmp_path) is not None
    local_stack.withdraw(tmp_path, pid=os.getpid())
    assert list(tmp_path.iterdir()) == []
    local_stack.withdraw(tmp_path, pid=os.getpid())
