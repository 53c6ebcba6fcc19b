"""Results over real sockets: allowed hosts only, no key, streamed and capped, and each way a file can be missing."""

import asyncio

import pytest

from qubico.errors import ResultGone, ResultHostRefused, ResultTooLarge, Unavailable
from tests.contract.conftest import API_KEY
from tests.contract.wire import answer, keeps_silent, provider, says, then_closes
from tests.parts.valkey import free_port

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2000  # more than is read at once
PNG = "Content-Type: image/png"
CHUNKED = "Transfer-Encoding: chunked"


def chunked(*parts: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return f"HTTP/1.1 200 OK\r\n{PNG}\r\n{CHUNKED}\r\n\r\n".encode() + body


async def fetched(client, address, *, max_bytes=1_000_000):
    async with client.download(address, max_bytes=max_bytes) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def stored_on_a_full_disk(client, address):
    async with client.download(address, max_bytes=1_000_000) as chunks:
        async for _chunk in chunks:
            raise OSError("disk full")


async def test_a_result_is_streamed_whole(client_of):
    sent = answer("200 OK", PICTURE, PNG)
    async with provider(says(sent)) as host, client_of(host.base_url, result_hosts=[host.host]) as client:
        async with client.download(f"{host.base_url}/temp/a.png", max_bytes=len(PICTURE)) as chunks:
            read = [chunk async for chunk in chunks]
        assert b"".join(read) == PICTURE
        assert len(read) > 1


async def test_spaces_and_line_ends_around_an_address_are_removed(client_of):
    sent = answer("200 OK", PICTURE, PNG)
    async with provider(says(sent)) as host, client_of(host.base_url, result_hosts=[host.host]) as client:
        assert await fetched(client, f" {host.base_url}/temp/a.png\r\n") == PICTURE


async def test_a_file_host_never_sees_the_key(client_of):
    sent = answer("200 OK", PICTURE, PNG)
    async with provider(says(sent)) as host, client_of(host.base_url, result_hosts=[host.host]) as client:
        await fetched(client, f"{host.base_url}/temp/a.png")
        headers = host.requests[0].headers
    assert API_KEY not in str(headers)
    assert headers["user-agent"] == "retouch/0.1"


GONE = {
    "404": answer("404 Not Found", b"no such file", "Content-Type: text/plain"),
    "410": answer("410 Gone"),
    "403": answer("403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>", "Content-Type: application/xml"),
    "a page of HTML": answer("200 OK", b"<html><body>expired</body></html>", "Content-Type: text/html; charset=utf-8"),
    "HTML called a picture": answer("200 OK", b"\n <!DOCTYPE html><html></html>", PNG),
    "nothing": answer("200 OK", b"", PNG),
    "nothing, chunked": f"HTTP/1.1 200 OK\r\n{PNG}\r\n{CHUNKED}\r\n\r\n0\r\n\r\n".encode(),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
}
PASSING = {
    "502": answer("502 Bad Gateway", b"<html></html>", "Content-Type: text/html"),
    "503": answer("503 Service Unavailable"),
    "429": answer("429 Too Many Requests"),
    "304": answer("304 Not Modified"),
    "half a file": answer("200 OK", PICTURE[:-1], PNG, length=len(PICTURE)),
    "half a chunked file": chunked(PICTURE),
    "half a header": b"HTTP/1.1 200 OK\r\nConte",
    "a closed connection": b"",
    "garbage": b"\x00\x01\x02\r\n\r\n",
}


@pytest.mark.parametrize("sent", GONE.values(), ids=GONE)
async def test_a_file_that_is_not_there_is_result_gone(sent, client_of):
    async with provider(then_closes(sent)) as host, client_of(host.base_url, result_hosts=[host.host]) as client:
        with pytest.raises(ResultGone):
            await fetched(client, f"{host.base_url}/temp/a.png")


@pytest.mark.parametrize("sent", PASSING.values(), ids=PASSING)
async def test_trouble_that_may_pass_is_unavailable(sent, client_of):
    async with provider(then_closes(sent)) as host, client_of(host.base_url, result_hosts=[host.host]) as client:
        with pytest.raises(Unavailable):
            await fetched(client, f"{host.base_url}/temp/a.png")


async def test_a_file_host_that_does_not_answer_is_unavailable(client_of):
    async with (
        provider(keeps_silent) as host,
        client_of(host.base_url, result_hosts=[host.host], download_timeout=0.2) as client,
    ):
        with pytest.raises(Unavailable):
            await fetched(client, f"{host.base_url}/temp/a.png")


async def test_a_file_that_stops_in_the_middle_is_unavailable_when_the_time_is_up(client_of):
    async def stops(_request, writer):
        writer.write(answer("200 OK", PICTURE[:1000], PNG, length=len(PICTURE)))
        await asyncio.Event().wait()

    async with (
        provider(stops) as host,
        client_of(host.base_url, result_hosts=[host.host], download_timeout=0.3) as client,
    ):
        with pytest.raises(Unavailable):
            await fetched(client, f"{host.base_url}/temp/a.png")


async def test_a_file_host_that_cannot_be_reached_is_unavailable(client_of):
    host = f"127.0.0.1:{free_port()}"
    async with client_of(f"http://{host}", result_hosts=[host]) as client:
        with pytest.raises(Unavailable):
            await fetched(client, f"http://{host}/temp/a.png")


async def test_a_length_over_the_cap_is_refused_before_the_body(client_of):
    sent = answer("200 OK", PICTURE, PNG)
    async with provider(says(sent)) as host, client_of(host.base_url, result_hosts=[host.host]) as client:
        with pytest.raises(ResultTooLarge, match=str(len(PICTURE))):
            await fetched(client, f"{host.base_url}/temp/a.png", max_bytes=len(PICTURE) - 1)


async def test_a_stream_without_length_is_cut_at_the_cap(client_of):
    sent = 0

    async def endless(_request, writer):
        nonlocal sent
        writer.write(chunked(PICTURE))
        while True:
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()
            sent += 0x10000

    async with provider(endless) as host, client_of(host.base_url, result_hosts=[host.host]) as client:
        with pytest.raises(ResultTooLarge):
            await fetched(client, f"{host.base_url}/temp/a.png", max_bytes=300_000)
    assert sent < 20_000_000


async def test_a_reader_may_leave_early_and_its_errors_stay_its_own(client_of):
    sent = answer("200 OK", PICTURE, PNG)
    async with provider(says(sent)) as host, client_of(host.base_url, result_hosts=[host.host]) as client:
        with pytest.raises(OSError, match="disk full"):
            await stored_on_a_full_disk(client, f"{host.base_url}/temp/a.png")
        assert await fetched(client, f"{host.base_url}/temp/a.png") == PICTURE


# --- redirects


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(status, b"", f"Location: {location}")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirects_are_followed_to_hosts_that_are_listed(status, client_of):
    async with provider(says(answer("200 OK", PICTURE, PNG))) as second:
        first_says = says(redirect(f"{second.base_url}/b.png", status))
        async with (
            provider(first_says) as first,
            client_of(first.base_url, result_hosts=[first.host, second.host]) as client,
        ):
            assert await fetched(client, f"{first.base_url}/a.png") == PICTURE
        assert API_KEY not in str(second.requests[0].headers)


async def test_a_relative_redirect_stays_on_its_host(client_of):
    async def behave(request, writer):
        writer.write(redirect("../b.png") if request.target == "/temp/a.png" else answer("200 OK", PICTURE, PNG))

    async with provider(behave) as host, client_of(host.base_url, result_hosts=[host.host]) as client:
        assert await fetched(client, f"{host.base_url}/temp/a.png") == PICTURE
        assert [request.target for request in host.requests] == ["/temp/a.png", "/b.png"]


async def test_a_redirect_to_another_host_is_refused_and_not_asked(client_of):
    async with (
        provider(keeps_silent) as elsewhere,
        provider(says(redirect(f"{elsewhere.base_url}/b.png"))) as host,
        client_of(host.base_url, result_hosts=[host.host]) as client,
    ):
        with pytest.raises(ResultHostRefused, match=elsewhere.host):
            await fetched(client, f"{host.base_url}/a.png")
        assert not elsewhere.writers


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/a", "file:///etc/passwd", "//evil.example/a", "data:,x"])
async def test_a_redirect_to_another_scheme_is_refused(location, client_of):
    async with (
        provider(says(redirect(location))) as host,
        client_of(host.base_url, result_hosts=[host.host]) as client,
    ):
        with pytest.raises(ResultHostRefused):
            await fetched(client, f"{host.base_url}/a.png")


async def test_redirects_end_after_five(client_of):
    async with (
        provider(says(redirect("/again"))) as host,
        client_of(host.base_url, result_hosts=[host.host]) as client,
    ):
        with pytest.raises(ResultHostRefused, match="5 redirects"):
            await fetched(client, f"{host.base_url}/a.png")
        assert len(host.requests) == 6


async def test_errors_of_downloads_hold_no_address(client_of):
    host = f"127.0.0.1:{free_port()}"
    async with client_of(f"http://{host}", result_hosts=[host]) as client:
        for address in (f"http://{host}/secret-path.png?sig=secret", "http://evil.example/secret-path.png"):
            with pytest.raises((Unavailable, ResultHostRefused)) as failed:
                await fetched(client, address)
            assert "secret" not in str(failed.value)
