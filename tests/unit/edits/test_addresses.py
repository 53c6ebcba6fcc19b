import pytest

from edits import addresses


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("https://example.com/a.png", False),
        ("https://203.0.113.7/a.png", True),  # documentation range: nobody's
        ("https://8.8.8.8/a.png", False),
        ("https://[2606:4700::1111]/a.png", False),
        ("http://127.0.0.1:8000/a.png", True),
        ("http://[::1]/a.png", True),
        ("http://10.1.2.3/a.png", True),
        ("http://169.254.169.254/latest", True),
        ("http://localhost:8000", True),
        ("http://LOCALHOST./a", True),
        ("http://seaweedfs:8333/bucket", True),
        ("http://api.default.svc.internal/a", True),
        ("http://printer.local/a", True),
    ],
)
def test_it_tells_what_only_our_own_network_reaches(address: str, private: bool) -> None:
    assert addresses.is_private(address) is private
