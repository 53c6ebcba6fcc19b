"""No address leads into the house: private ones are refused however they are written, named or redirected to."""

from datetime import timedelta

import pytest

from edits.network.fetching import Fetcher
from tests.integration.edits.sites import CAP, Names, Site, refused


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1.2.3",
        "[::1]",
        "localhost",
        "0.0.0.0",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "localhost.",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "LOCALHOST",
        "\uff11\uff12\uff17.0.0.1",
        "\u2460\u2461\u2466.0.0.1",
        "127\u30020\u30020\u30021",
    ],
)
async def test_an_address_of_this_machine_is_refused_however_it_is_written(site: Site, host: str) -> None:
    code, said = await refused(Fetcher(max_bytes=CAP), site.url(host=host))
    assert code == "input_unreachable"
    assert "private network" in said or "no valid HTTP response" in said  # not every resolver takes every form
    assert site.asked == []


async def test_the_metadata_service_of_a_cloud_is_refused() -> None:
    assert "private network" in (await refused(Fetcher(max_bytes=CAP), "http://169.254.169.254/latest/meta-data"))[1]


@pytest.mark.parametrize("leads_to", [["127.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["::1"], ["::ffff:7f00:1"]])
async def test_a_public_name_that_leads_to_a_private_address_is_refused(site: Site, leads_to: list[str]) -> None:
    fetcher = Fetcher(max_bytes=CAP, resolver=Names(evil_example=leads_to))
    assert "private network" in (await refused(fetcher, site.url(host="evil.example")))[1]
    assert site.asked == []


async def test_only_the_named_port_of_a_named_host_may_be_private(site: Site) -> None:
    for trusted in ([("127.0.0.1", site.port + 1)], [("localhost", site.port)], []):
        assert (await refused(Fetcher(max_bytes=CAP, trusted=trusted), site.url()))[0] == "input_unreachable"
    named = Fetcher(max_bytes=CAP, trusted=[("sandbox", site.port)], resolver=Names(sandbox=["127.0.0.1"]))
    assert await named.fetch(site.url(host="sandbox")) == b"bytes"


async def test_a_name_that_changes_its_mind_is_looked_at_each_time(site: Site) -> None:
    """DNS rebinding: no answer of the name service is kept, so none is believed beyond its connection."""

    class Rebinding(Names):
        asked = 0

        async def __call__(self, host: str, port: int) -> list[str]:
            self.asked += 1
            self.known[host] = ["198.51.100.1"] if self.asked == 1 else ["127.0.0.1"]
            return await super().__call__(host, port)

    names = Rebinding()
    fetcher = Fetcher(max_bytes=CAP, resolver=names, within=timedelta(seconds=60))
    for _ in range(3):
        assert "private network" in (await refused(fetcher, site.url(host="rebound.example")))[1]
    assert names.asked >= 3, "an answer was kept"
    assert site.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "http://[fe80::1]/a", "http://[fe80::1%25lo]/a", "http://[fc00::1]/a", "http://[fd12::1]/a", "http://[2002:7f00:1::]/a",
        "http://[64:ff9b::7f00:1]/a", "http://[::]/a", "http://10.0.0.1/a", "http://0/a", "http://169.254.169.254./latest",
        "http://[::ffff:169.254.169.254]/a", "http://0xa9fea9fe/latest", "http://2852039166/latest", "http://192.168.0.1:22/a",
        "http://user@example.com/a", "http://example.com@127.0.0.1/a", "http://127.0.0.1\\@example.com/a", "file:///etc/passwd",
        "gopher://127.0.0.1/a", "ftp://example.com/a", "dict://127.0.0.1:11211/", "http:///a", "http://:80/a",
        "//example.com/a",
        "http://example.com:99999/a", "http://example.com:-1/a", "http://exa mple.com/a", "http://example.com\x00.evil/a",
    ],
)  # fmt: skip
async def test_no_other_way_into_the_house(address: str) -> None:
    assert (await refused(Fetcher(max_bytes=CAP, within=timedelta(seconds=60)), address))[0] == "input_unreachable"
