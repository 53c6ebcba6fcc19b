from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("http://localhost:8000", True),
        ("http://LOCALHOST./a", True),
        ("http://seaweedfs:8333/bucket", True),
        ("http://api.default.svc.internal/a", True),
        ("http://printer.local/a", True),
    ],
)
def test_it_tells_what_only_our_own_network_reaches(address: str, private: bool) -> None:
    assert addresses.is_private(address) is private


@pytest.mark.parametrize("ip", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_hosts_of_the_internet_are_public(ip: str) -> None:
    assert addresses.is_public(ip)


@pytest.mark.parametrize(
    "ip",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("127.255.0.1", id="all of loopback"),
        pytest.param("0.0.0.0", id="this host"),
        pytest.param("10.0.0.1", id="10/8"),
        pytest.param("172.31.255.255", id="172.16/12"),
        pytest.param("192.168.0.1", id="192.168/16"),
        pytest.param("169.254.169.254", id="link-local, where clouds keep their keys"),
        pytest.param("100.64.0.1", id="shared by a carrier's customers"),
        pytest.param("198.18.0.1", id="benchmarks"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("239.1.1.1", id="multicast of an organisation"),
        pytest.param("240.0.0.1", id="reserved"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("::", id="this host, v6"),
        pytest.param("::1", id="loopback, v6"),
        pytest.param("::7f00:1", id="compatible with v4, long ago"),
        pytest.param("::ffff:127.0.0.1", id="v4 loopback in v6"),
        pytest.param("::ffff:a9fe:a9fe", id="v4 link-local in v6, in hex"),
        pytest.param("64:ff9b::a00:1", id="v4 private behind NAT64"),
        pytest.param("2002:7f00:1::", id="6to4"),
        pytest.param("2001:0:1::1", id="Teredo"),
        pytest.param("fe80::1", id="link-local, v6"),
        pytest.param("fe80::1%eth0", id="link-local with its link"),
        pytest.param("fc00::1", id="unique local"),
        pytest.param("fec0::1", id="site-local"),
        pytest.param("ff02::1", id="multicast, v6"),
        pytest.param("2001:db8::1", id="documentation, v6"),
    ],
)
def test_all_other_addresses_are_not(ip: str) -> None:
    assert not addresses.is_public(ip)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # a year, a month, a day and so on


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        pytest.param("X-Amz-Date=20260115T092011Z&X-Amz-Expires=3600", utc(2026, 1, 15, 10, 20, 11), id="S3"),
        pytest.param("x-amz-date=20260115T092011Z&x-amz-expires=60", utc(2026, 1, 15, 9, 21, 11), id="small letters"),
        pytest.param("X-Goog-Date=20260115T092011Z&X-Goog-Expires=1", utc(2026, 1, 15, 9, 20, 12), id="Google"),
        pytest.param("Expires=1768468811&Signature=x", utc(2026, 1, 15, 9, 20, 11), id="CloudFront, S3 of old"),
        pytest.param("sv=2024&se=2026-01-15T09%3A20%3A11Z&sig=x", utc(2026, 1, 15, 9, 20, 11), id="Azure"),
        pytest.param("se=2026-01-15T09:20Z", utc(2026, 1, 15, 9, 20), id="Azure without seconds"),
        pytest.param("se=2026-01-15T10:20:11+01:00", utc(2026, 1, 15, 9, 20, 11), id="Azure with a zone"),
        pytest.param("se=2026-01-15", utc(2026, 1, 15), id="Azure, a day"),
        pytest.param("Expires=1768468811&se=2026-01-15", utc(2026, 1, 15), id="of several the first"),
        pytest.param("", None, id="nothing"),
        pytest.param("X-Amz-Expires=3600", None, id="S3 without its date"),
        pytest.param("X-Amz-Date=20260115T092011Z", None, id="S3 without its life"),
        pytest.param("X-Amz-Date=20260115T092011Z&X-Goog-Expires=5", None, id="halves of two"),
        pytest.param("X-Amz-Date=yesterday&X-Amz-Expires=3600", None, id="no date"),
        pytest.param("X-Amz-Date=20260115T092011Z&X-Amz-Expires=-5", None, id="no life"),
        pytest.param("X-Amz-Date=99991231T000000Z&X-Amz-Expires=999999999", None, id="beyond all years"),
        pytest.param("Expires=0", None, id="a flag that is no time"),
        pytest.param("Expires=Thu, 15 Jan 2026 09:20:11 GMT", None, id="a date of another kind"),
        pytest.param("se=north", None, id="an `se` that is something else"),
        pytest.param("width=100&size=2026", None, id="other words"),
    ],
)
def test_a_signed_address_says_until_when_it_works(query: str, ends: datetime | None) -> None:
    assert addresses.expires_at(f"https://bucket.example.com/a.png?{query}") == ends


@given(st.text(max_size=60), st.sampled_from(["X-Amz-Date=20260115T092011Z&X-Amz-Expires=", "Expires=", "se="]))
def test_no_address_is_too_odd_to_be_asked(text: str, name: str) -> None:
    ends = addresses.expires_at(f"https://example.com/a.png?{name}{text}")
    assert ends is None or ends.tzinfo is UTC


def test_the_place_is_where_a_connection_goes() -> None:
    assert addresses.place("https://Example.com./a") == ("example.com", 443)
    assert addresses.place("http://[::1]:8000/a") == ("::1", 8000)
