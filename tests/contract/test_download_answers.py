"""Result files as real file hosts send them, byte by byte: the answers that browsers take are taken, under caps."""

import gzip
import tracemalloc
import zlib

import pytest

from qubico.errors import AnswerLost, ResultTooLarge, Unavailable
from tests.contract.test_downloads import PICTURE, PNG, fetched
from tests.contract.wire import answer, provider, recorded, then_closes

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(PICTURE)
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PICTURE), PICTURE)


@pytest.fixture
def read(client_of):
    async def read(sent, *, max_bytes=1_000_000, asked=None):
        async with (
            provider(then_closes(sent)) as host,
            client_of(host.base_url, result_hosts=[host.host]) as client,
        ):
            try:
                return await fetched(client, f"{host.base_url}/temp/a.png", max_bytes=max_bytes)
            finally:
                if asked is not None:
                    asked.extend(host.requests)

    return read


def packed(encoding, body):
    return answer("200 OK", body, PNG, f"Content-Encoding: {encoding}")


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


HEADS = {
    "a header of 9 kB": OK + b"X-Policy: " + b"x" * 9000 + b"\r\n" + LENGTH + b"\r\n" + PICTURE,
    "a header of 120 kB": OK + b"X-Policy: " + b"x" * 120_000 + b"\r\n" + LENGTH + b"\r\n" + PICTURE,
    "2000 headers": OK + b"X-A: b\r\n" * 2000 + LENGTH + b"\r\n" + PICTURE,
    "900 kB of headers": OK + (b"X-A: " + b"x" * 9000 + b"\r\n") * 100 + LENGTH + b"\r\n" + PICTURE,
}
READ_AGAIN = {
    "the same length twice": OK + LENGTH * 2 + b"\r\n" + PICTURE,
    "twice in one header": OK + b"Content-Length: %d, %d\r\n\r\n" % (len(PICTURE), len(PICTURE)) + PICTURE,
    "chunks and a length": OK + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
}


@pytest.mark.parametrize("sent", HEADS.values(), ids=HEADS)
async def test_long_heads_are_read_at_once(sent, read):
    asked = []
    assert await read(sent, asked=asked) == PICTURE
    assert len(asked) == 1


@pytest.mark.parametrize("sent", READ_AGAIN.values(), ids=READ_AGAIN)
async def test_heads_that_the_fast_parser_refuses_are_read_again(sent, read):
    asked = []
    assert await read(sent, asked=asked) == PICTURE
    first, again = asked
    assert (again.target, again.headers["user-agent"]) == (first.target, first.headers["user-agent"])
    assert "x-api-key" not in again.headers


async def test_a_status_with_its_length_twice_is_read(client_of):
    head, _, rest = recorded("get-completed").partition(b"Content-Length:")
    length, _, rest = rest.partition(b"\r\n")
    sent = head + b"Content-Length:" + length + b"\r\nContent-Length:" + length + b"\r\n" + rest
    async with provider(then_closes(sent)) as host, client_of(host.base_url) as client:
        assert (await client.get("5b7a0c1e-52f4-4a0e-9a55-2f0f6c1d7e10")).task_id
        assert len(host.requests) == 2


async def test_a_create_whose_answer_cannot_be_parsed_is_sent_once(client_of, request_to_buy):
    sent = OK + b"Content-Length: 2\r\n" * 2 + b"\r\n{}"
    async with provider(then_closes(sent)) as host, client_of(host.base_url) as client:
        with pytest.raises(AnswerLost):
            await client.create(request_to_buy)
        assert len(host.posts) == 1


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(OK + b"X-A: " + b"x" * 140_000 + b"\r\n" + LENGTH + b"\r\n" + PICTURE, id="one over the cap"),
        pytest.param(OK + b"X-A: b\r\n" * 2100 + LENGTH + b"\r\n" + PICTURE, id="many over the cap"),
        pytest.param(OK + b"X-A: " + b"x" * 10_000_000, id="one without end"),
        pytest.param(OK + b"X-A: b\r\n" * 1_000_000, id="many without end"),
        pytest.param(OK + LENGTH * 2 + (b"X-A: " + b"x" * 9000 + b"\r\n") * 20 + b"\r\n" + PICTURE, id="read again"),
    ],
)
async def test_a_head_over_the_caps_is_refused_for_good(sent, read):
    with pytest.raises(ResultTooLarge, match="headers"):
        await read(sent)


async def test_a_status_with_a_head_over_the_caps_is_unavailable(client_of):
    async with provider(then_closes(OK + b"X-A: " + b"x" * 140_000)) as host, client_of(host.base_url) as client:
        with pytest.raises(Unavailable, match="headers"):
            await client.get("task-1")


async def test_two_lengths_are_unavailable(read):
    with pytest.raises(Unavailable):
        await read(OK + LENGTH + b"Content-Length: 7\r\n\r\n" + PICTURE)


@pytest.mark.parametrize("encoding", ["", "identity", "Identity", "base64", "aws-chunked", "utf-8"])
async def test_a_label_that_is_no_encoding_is_ignored(encoding, read):
    assert await read(packed(encoding, PICTURE)) == PICTURE


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("gzip", gzip.compress(PICTURE), id="gzip"),
        pytest.param("x-GZIP", gzip.compress(PICTURE), id="an old name"),
        pytest.param("aws-chunked,gzip", gzip.compress(PICTURE), id="beside a label"),
        pytest.param("gzip, gzip", gzip.compress(gzip.compress(PICTURE)), id="twice"),
        pytest.param("gzip", gzip.compress(PICTURE[:99]) + gzip.compress(PICTURE[99:]) + bytes(512), id="two members"),
        pytest.param("deflate", zlib.compress(PICTURE), id="deflate"),
        pytest.param("deflate", raw_deflate(PICTURE), id="deflate without its frame"),
        pytest.param("gzip", gzip.compress(PICTURE + bytes(900_000 - len(PICTURE))), id="a large one"),
    ],
)
async def test_an_honest_encoding_is_undone(encoding, body, read):
    found = await read(packed(encoding, body))
    assert found.rstrip(b"\0") == PICTURE.rstrip(b"\0")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", PICTURE),
        ("gzip", gzip.compress(PICTURE)[:-9]),
        ("deflate", PICTURE),
        ("br", b"\x0b\x02\x80"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
    ],
)
async def test_a_file_that_cannot_be_unpacked_is_unavailable(encoding, body, read):
    with pytest.raises(Unavailable, match=encoding):
        await read(packed(encoding, body))


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_bomb_is_refused_before_it_is_unpacked(layers, read):
    bomb = gzip.compress(bytes(200_000_000 if layers == 1 else 2_000_000), 9)
    for _ in range(layers - 1):
        bomb = gzip.compress(bomb * 3000, 9)
    tracemalloc.start()
    try:
        with pytest.raises(ResultTooLarge):
            await read(packed(", ".join(["gzip"] * layers), bomb), max_bytes=300_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


async def test_a_stream_of_empty_members_is_cut_at_the_cap(read):
    with pytest.raises(ResultTooLarge):
        await read(packed("gzip", gzip.compress(b"") * 60_000), max_bytes=100_000)
