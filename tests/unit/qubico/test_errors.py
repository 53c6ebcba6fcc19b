"""Which failures of a transport prove that nothing left."""

import aiohttp
import httpx
import pytest

from qubico.errors import never_left

NO_CONNECTION = aiohttp.ConnectionTimeoutError("no free connection")


def caused(by: BaseException, error: Exception) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    ("failure", "proof"),
    [
        (NO_CONNECTION, True),
        (caused(NO_CONNECTION, httpx.ConnectTimeout("")), True),
        (caused(aiohttp.ServerDisconnectedError(), httpx.ConnectTimeout("")), False),
        (caused(aiohttp.ClientOSError(104, "reset"), httpx.ConnectTimeout("")), False),
        (caused(aiohttp.SocketTimeoutError(), httpx.ReadTimeout("")), False),
        (httpx.ConnectTimeout(""), False),
        (httpx.ConnectError(""), False),
        (ConnectionRefusedError(), False),
        (TimeoutError(), False),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_only_a_connector_that_gave_no_connection_is_proof(failure, proof):
    assert never_left(failure) is proof


def test_an_error_that_was_being_handled_is_no_proof():
    try:
        raise NO_CONNECTION
    except aiohttp.ConnectionTimeoutError:
        with pytest.raises(httpx.ReadTimeout) as later:
            raise httpx.ReadTimeout("") from aiohttp.SocketTimeoutError()
    assert later.value.__context__ is NO_CONNECTION
    assert not never_left(later.value)
