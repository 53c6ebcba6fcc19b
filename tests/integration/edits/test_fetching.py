"""Fetching a picture for our own keeping: a real server on loopback, and a name service that says what a test needs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from edits import fetching
from edits.errors import InputRefused, Unavailable
from edits.fetching import Fetcher

CAP = 100_000
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Site:
    """Answers each path as a test says, and remembers what it was asked."""

    port: int
    pages: dict[str, Answer] = field(default_factory=dict)
    asked: list[web.Request] = field(default_factory=list)

    @property
    def trusted(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", self.port)]

    def url(self, path: str = "/picture", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def says(self, path: str = "/picture", *, status: int = 200, body: bytes = b"bytes", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=status, body=body, headers=named)

        self.pages[path] = answer


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async def serve(request: web.Request) -> web.StreamResponse:
        running.asked.append(request)
        return await running.pages[request.path](request)

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    running = Site(listener.getsockname()[1])
    await web.SockSite(runner, listener).start()
    running.says()
    try:
        yield running
    finally:
        await runner.cleanup()


class Names(AbstractResolver):
    """A name service: each name leads to the addresses given, in their order."""

    def __init__(self, **known: list[str]) -> None:
        self.known = {name.replace("_", "."): addresses for name, addresses in known.items()}

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        del family  # as told
        if host not in self.known:
            raise OSError(f"no such host: {host}")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in self.known[host]
        ]

    async def close(self) -> None:
        pass


async def refused(fetcher: Fetcher, address: str) -> tuple[str, str]:
    with pytest.raises(InputRefused) as caught:
        await fetcher.fetch(address)
    assert caught.value.pointer == "/image"
    return caught.value.code, str(caught.value)


async def test_a_picture_comes_as_it_is(site: Site) -> None:
    data = bytes(range(256)) * 300
    site.says(body=data)
    assert await Fetcher(max_bytes=CAP, trusted=site.trusted).fetch(site.url()) == data
    (asked,) = site.asked
    assert "Authorization" not in asked.headers
    assert asked.headers["Accept-Encoding"] == "identity"


async def test_a_signed_address_goes_out_as_it_came(site: Site) -> None:
    site.pages["/a b.png"] = site.pages["/picture"]
    await Fetcher(max_bytes=CAP, trusted=site.trusted).fetch(site.url("/a%20b%2epng?sig=a%2Fb%7E%3D&x=%41+1"))
    assert site.asked[0].raw_path == "/a%20b%2epng?sig=a%2Fb%7E%3D&x=%41+1"


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
    assert "private network" in said or "nothing answers there" in said  # not every resolver takes every form
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


async def test_redirects_are_followed_and_looked_at_each_time(site: Site) -> None:
    names = Names(files_example=["127.0.0.1"])
    site.says("/start", status=302, Location="/second")
    site.says("/second", status=307, Location=site.url("/picture"))
    site.says("/away", status=302, Location=site.url("/picture", host="files.example"))
    site.says("/literal", status=301, Location=site.url("/picture", host="127.0.0.2"))
    site.says("/other", status=302, Location="file:///etc/passwd")
    site.says("/named", status=302, Location=site.url("/picture").replace("//", "//user:pw@"))
    fetcher = Fetcher(max_bytes=CAP, trusted=site.trusted, resolver=names)
    assert await fetcher.fetch(site.url("/start")) == b"bytes"
    site.asked.clear()
    for path in ("/away", "/literal", "/other", "/named"):
        assert (await refused(fetcher, site.url(path)))[0] == "input_unreachable"
    assert [asked.path for asked in site.asked] == ["/away", "/literal", "/other", "/named"]


async def test_redirects_end(site: Site) -> None:
    site.says("/round", status=302, Location="/round")
    fetcher = Fetcher(max_bytes=CAP, trusted=site.trusted)
    assert "more than 5 times" in (await refused(fetcher, site.url("/round")))[1]
    assert len(site.asked) == 1 + fetching.MOST_REDIRECTS


@pytest.mark.parametrize("status", [204, 206, 302, 304, 401, 403, 404, 410, 500, 503])
async def test_any_other_answer_is_no_picture(site: Site, status: int) -> None:
    site.says(status=status, body=b"")
    assert await refused(Fetcher(max_bytes=CAP, trusted=site.trusted), site.url()) == (
        "input_unreachable",
        f"the address answers {status}",
    )


async def test_nobody_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    fetcher = Fetcher(max_bytes=CAP, trusted=[("127.0.0.1", port)], resolver=Names())
    assert "nothing answers" in (await refused(fetcher, f"http://127.0.0.1:{port}/a"))[1]
    assert "nothing answers" in (await refused(fetcher, "http://nowhere.example/a"))[1]
    assert "nothing answers" in (await refused(fetcher, f"http://{'x' * 70}.example/a"))[1]


async def test_letters_of_any_language_are_understood(site: Site) -> None:
    site.says("/schnee-\u2603.png")
    assert await Fetcher(max_bytes=CAP, trusted=site.trusted).fetch(site.url("/schnee-\u2603.png")) == b"bytes"
    assert site.asked[0].raw_path == "/schnee-%E2%98%83.png"


async def test_a_picture_over_the_cap_is_not_read_to_its_end(site: Site) -> None:
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 50_000)
            written += 50_000

    site.says("/announced", body=b"x" * (CAP + 1))
    site.says("/fits", body=b"x" * CAP)
    site.pages["/endless"] = endless
    fetcher = Fetcher(max_bytes=CAP, trusted=site.trusted)
    assert len(await fetcher.fetch(site.url("/fits"))) == CAP
    for path in ("/announced", "/endless"):
        assert (await refused(fetcher, site.url(path)))[0] == "image_too_large"
    assert written < 50_000_000


async def test_a_packed_answer_is_not_unpacked(site: Site) -> None:
    site.says(Content_Encoding="gzip")
    assert "content encoding" in (await refused(Fetcher(max_bytes=CAP, trusted=site.trusted), site.url()))[1]


async def test_a_picture_that_does_not_come_is_given_up_in_time(site: Site) -> None:
    async def dribble(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    site.pages["/slow"] = dribble
    fetcher = Fetcher(max_bytes=CAP, trusted=site.trusted, within=timedelta(seconds=0.3))
    assert "did not come" in (await refused(fetcher, site.url("/slow")))[1]


async def test_a_connection_that_breaks_off_gives_no_half_picture(site: Site) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.abort()
        return response

    site.pages["/half"] = half
    assert (await refused(Fetcher(max_bytes=CAP, trusted=site.trusted), site.url("/half")))[0] == "input_unreachable"


async def test_no_more_than_so_many_are_fetched_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "AT_ONCE", 1)
    monkeypatch.setattr(fetching, "_TURN_WITHIN", 0.05)
    asked, held = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        asked.set()
        await held.wait()
        return web.Response(body=b"late")

    site.pages["/held"] = wait
    fetcher = Fetcher(max_bytes=CAP, trusted=site.trusted)
    first = asyncio.create_task(fetcher.fetch(site.url("/held")))
    await asyncio.wait_for(asked.wait(), 10)
    with pytest.raises(Unavailable):
        await fetcher.fetch(site.url())
    held.set()
    assert await first == b"late"
    assert await fetcher.fetch(site.url()) == b"bytes"


async def test_no_fault_repeats_the_address(site: Site) -> None:
    site.says("/marker", status=404)
    for fetcher in (Fetcher(max_bytes=CAP), Fetcher(max_bytes=CAP, trusted=site.trusted)):
        assert "marker" not in (await refused(fetcher, site.url("/marker?marker=marker")))[1]


async def test_a_name_that_changes_its_mind_is_looked_at_each_time(site: Site) -> None:
    """DNS rebinding: no answer of the name service is kept, so none is believed beyond its connection."""

    class Rebinding(Names):
        asked = 0

        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            self.asked += 1
            self.known[host] = ["198.51.100.1"] if self.asked == 1 else ["127.0.0.1"]
            return await super().resolve(host, port, family)

    names = Rebinding()
    fetcher = Fetcher(max_bytes=CAP, resolver=names, within=timedelta(seconds=3))
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
    assert (await refused(Fetcher(max_bytes=CAP, within=timedelta(seconds=3)), address))[0] == "input_unreachable"
