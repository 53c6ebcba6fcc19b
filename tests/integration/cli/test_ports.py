"""Ports on the real loopback."""

import socket

import pytest

from cli.errors import WrongUsage
from cli.local import stack
from cli.local.data_dir import keep_port, kept_port
from cli.local.ports import Ports, why_not
from tests.parts.valkey import free_port


@pytest.fixture
def taken():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_port_that_is_taken_is_moved_on_from(taken, tmp_path):
    port = Ports(claims=tmp_path).take(taken, setting="RETOUCH_FLOWER__PORT", movable=True)
    assert port > taken
    assert why_not("127.0.0.1", port) is None


def test_a_port_that_was_set_is_not_moved(taken, tmp_path):
    with pytest.raises(
        WrongUsage, match=f"port {taken} on 127.0.0.1 is taken; set RETOUCH_FLOWER__PORT to another one"
    ):
        Ports(claims=tmp_path).take(taken, setting="RETOUCH_FLOWER__PORT", movable=False)


def test_two_that_start_at_once_never_get_the_same_port(tmp_path):
    preferred = free_port()
    first, second = Ports(claims=tmp_path), Ports(claims=tmp_path)
    took = [ports.take(preferred, setting="X", movable=True) for ports in (first, second, first)]
    assert len(set(took)) == 3


def test_a_released_port_may_be_taken_again(tmp_path):
    ports = Ports(claims=tmp_path)
    port = ports.any()
    ports.release()
    assert Ports(claims=tmp_path).take(port, setting="X", movable=False) == port


def test_an_address_that_is_not_ours_is_told_with_its_reason(tmp_path):
    with pytest.raises(WrongUsage, match=r"192\.0\.2\.1 cannot be used"):
        Ports(claims=tmp_path).take(8000, setting="RETOUCH_API__PORT", movable=False, host="192.0.2.1")


def test_a_sandbox_is_found_again_where_it_was(tmp_path):
    """Whatever port is free by now: addresses of results are fixed when their tasks are made."""
    before = free_port()
    keep_port(tmp_path / "var" / "sandbox", before)
    assert _sandbox_port(tmp_path) == before


@pytest.mark.parametrize("kept", [None, "no port", "70000"])
def test_the_port_of_a_sandbox_is_kept_from_its_first_start_on(kept, tmp_path):
    folder = tmp_path / "var" / "sandbox"
    if kept:
        folder.mkdir(parents=True)
        (folder / "port").write_text(kept)
    assert _sandbox_port(tmp_path) == kept_port(folder)


def test_a_port_that_was_set_beats_the_one_before(tmp_path):
    keep_port(tmp_path / "var" / "sandbox", free_port())
    chosen = free_port()
    assert _sandbox_port(tmp_path, RETOUCH_SANDBOX__PORT=str(chosen)) == chosen


def _sandbox_port(folder, **settings):
    environ = {"RETOUCH_DATA_DIR": str(folder / "var"), "RETOUCH_API__PORT": str(free_port())} | settings
    env = stack.Environment(environ=environ, folder=folder)
    settings = env.load()
    ports = Ports(claims=folder / "claims")
    try:
        built = stack.build(env, settings=settings, ports=ports)
    finally:
        ports.release()
    return int(built.up.sandbox_url.rpartition(":")[2])
