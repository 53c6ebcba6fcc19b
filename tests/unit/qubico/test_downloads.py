"""The allow-list of result hosts, entry by entry and address by address."""

import httpx
import pytest

from qubico.downloads import ResultHosts
from qubico.errors import ResultHostRefused

HOSTS = ResultHosts(["img.theapi.app", "STORAGE.theapi.app", "127.0.0.1:8001", "[::1]:8002", "tls.example.com:8443"])


@pytest.mark.parametrize(
    "address",
    [
        "https://img.theapi.app/temp/a.png",
        "https://IMG.theapi.app:443/temp/a.png",
        "https://storage.theapi.app/a",
        "http://127.0.0.1:8001/temp/a.png",
        "https://127.0.0.1:8001/temp/a.png",
        "http://[::1]:8002/a",
        "https://tls.example.com:8443/a",
    ],
)
def test_listed_addresses_are_allowed(address):
    HOSTS.check(httpx.URL(address))


@pytest.mark.parametrize(
    "address",
    [
        "http://img.theapi.app/temp/a.png",
        "https://img.theapi.app:8443/a",
        "https://img.theapi.app.evil.example/a",
        "https://evil.example/img.theapi.app",
        "https://img.theapi.app@evil.example/a",
        "https://user:pass@img.theapi.app/a",
        "https://img.theapi.app\\@evil.example/a",
        "https://evil.example#@img.theapi.app/a",
        "https://img.theapi.app./a",
        "https://tls.example.com/a",
        "http://127.0.0.1/a",
        "http://127.0.0.1:8002/a",
        "http://127.1:8001/a",
        "http://169.254.169.254/latest/meta-data",
        "ftp://127.0.0.1:8001/a",
        "file:///etc/passwd",
        "img.theapi.app/a",
        "",
    ],
)
def test_all_others_are_refused_by_host_and_without_their_path(address):
    with pytest.raises(ResultHostRefused) as refused:
        HOSTS.check(httpx.URL(address))
    assert "passwd" not in str(refused.value)
    assert "pass@" not in str(refused.value)


def test_no_entries_allow_nothing():
    with pytest.raises(ResultHostRefused):
        ResultHosts([]).check(httpx.URL("https://img.theapi.app/a"))
