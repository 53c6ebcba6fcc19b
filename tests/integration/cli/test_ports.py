"""Ports on the real loopback."""

import socket

import pytest

from cli.errors import WrongUsage
from cli.ports import Ports, why_not
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
