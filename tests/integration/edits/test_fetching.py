"""Fetching a picture for our own keeping: a real server on loopback, and a name service that says what a test needs."""

import asyncio
import socket
from datetime import timedelta

import pytest
from aiohttp import web

from edits.errors import Unavailable
from edits.network import fetching
from edits.network.fetching import Fetcher
from tests.integration.edits.sites import CAP, Names, Site, refused


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
    assert "no valid HTTP response" in (await refused(fetcher, f"http://127.0.0.1:{port}/a"))[1]
    assert "no valid HTTP response" in (await refused(fetcher, "http://nowhere.example/a"))[1]
    assert "no valid HTTP response" in (await refused(fetcher, f"http://{'x' * 70}.example/a"))[1]


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


async def test_a_picture_that_does_not_come_is_given_up_in_time(site: Site) -> None:
    async def dribble(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    site.pages["/slow"] = dribble
    fetcher = Fetcher(max_bytes=CAP, trusted=site.trusted, within=timedelta(seconds=0.3))
    assert "did not arrive" in (await refused(fetcher, site.url("/slow")))[1]


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
    monkeypatch.setattr(fetching, "_SLOT_WITHIN", 0.05)
    asked, held = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        asked.set()
        await held.wait()
        return web.Response(body=b"late")

    site.pages["/held"] = wait
    fetcher = Fetcher(max_bytes=CAP, trusted=site.trusted)
    first = asyncio.create_task(fetcher.fetch(site.url("/held")))
    await asyncio.wait_for(asked.wait(), 90)
    with pytest.raises(Unavailable):
        await fetcher.fetch(site.url())
    held.set()
    assert await first == b"late"
    assert await fetcher.fetch(site.url()) == b"bytes"


async def test_no_fault_repeats_the_address(site: Site) -> None:
    site.says("/marker", status=404)
    for fetcher in (Fetcher(max_bytes=CAP), Fetcher(max_bytes=CAP, trusted=site.trusted)):
        assert "marker" not in (await refused(fetcher, site.url("/marker?marker=marker")))[1]
