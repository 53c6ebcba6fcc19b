import pytest

from edits.network import addresses


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("https://example.com/a.png", False),
        ("https://203.0.113.7/a.png", True),  # documentation range: nobody's
        ("https://8.8.8.8/a.png", False),
        ("https://[2606:4700::1111]/a.png", False),
        ("http://127.0.0.1:8000/a.png", True),
        ("http://[::1]/a.png", True),
        ("http://[::ffff:10.0.0.1]/a.png", True),
        ("http://10.1.2.3/a.png", True),
        ("http://169.254.169.254/latest", True),
        ("http://127.1/a.png", True),
        ("http://0x7f000001/a.png", True),
        ("http://localhost:8000", True),
        ("http://\uff4c\uff4fcalhost/a", True),
        ("http://LOCALHOST./a", True),
        ("http://seaweedfs:8333/bucket", True),
        ("http://api.default.svc.internal/a", True),
        ("http://printer.local/a", True),
    ],
)
def test_it_tells_what_only_our_own_network_reaches(address: str, private: bool) -> None:
    assert addresses.is_private(address) is private


def test_the_place_is_where_a_connection_goes() -> None:
    assert addresses.place("https://Example.com./a") == ("example.com", 443)
    assert addresses.place("http://[::1]:8000/a") == ("::1", 8000)
