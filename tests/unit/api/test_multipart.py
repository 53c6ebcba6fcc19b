"""Bodies of forms cut into parts: however they arrive, and whatever is wrong with them."""

from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import multipart
from api.errors import Problem

TYPE = "multipart/form-data; boundary=line"
HEAD = b'Content-Disposition: form-data; name="prompt"'


async def in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def cut(data: bytes, content_type: str = TYPE, *, size: int = 7) -> list[tuple[str, bool, bytes]]:
    return [
        (part.name, part.is_file, b"".join([chunk async for chunk in part.chunks]))
        async for part in multipart.parts(in_pieces(data, size), content_type)
    ]


def written(*parts: tuple[bytes, bytes], end: bytes = b"--line--\r\n") -> bytes:
    return b"".join(b"--line\r\n" + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts) + end


near_boundaries = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--line", b"x"])).map(b"".join)
bodies_of_parts = st.one_of(st.binary(max_size=50), near_boundaries).filter(
    lambda body: b"\r\n--line" not in b"\r\n" + body
)


@given(bodies=st.lists(bodies_of_parts, max_size=4), size=st.integers(1, 90))
async def test_every_byte_comes_out_however_the_body_was_cut(bodies: list[bytes], size: int) -> None:
    parts = [(b'Content-Disposition: form-data; name="f%d"' % number, body) for number, body in enumerate(bodies)]
    found = await cut(written(*parts), size=size)
    assert found == [(f"f{number}", False, body) for number, body in enumerate(bodies)]


@given(data=st.binary(max_size=300), size=st.integers(1, 400))
async def test_what_a_known_client_writes_is_read(data: bytes, size: int) -> None:
    files = {"image": ("a picture.png", data, "image/png")}
    request = httpx.Request("POST", "http://x", data={"prompt": "snow, \u2603", "steps": "4"}, files=files)
    found = await cut(request.read(), request.headers["content-type"], size=size)
    assert found == [("prompt", False, "snow, \u2603".encode()), ("steps", False, b"4"), ("image", True, data)]


@pytest.mark.parametrize(
    ("head", "is_file"),
    [
        pytest.param(b'; name="image"', False, id="bare"),
        pytest.param(b"; name=image", False, id="without quotes"),
        pytest.param(b'; name="image"\r\nContent-Type: text/plain; charset=utf-8', False, id="text"),
        pytest.param(b'; name="image"\r\nContent-Type: application/json', False, id="JSON"),
        pytest.param(b'; name="image"; filename="a.png"', True, id="with a file name"),
        pytest.param(b"; name=\"image\"; filename*=UTF-8''%e2%98%83.png", True, id="with a name in any language"),
        pytest.param(b'; name="image"; filename="\xe2\x98\x83.png"', True, id="as browsers write it"),
        pytest.param(b'; name="image"\r\ncontent-type: image/png', True, id="with a picture's type"),
        pytest.param(b'; name="image"\r\nContent-Type: application/octet-stream', True, id="with a type of bytes"),
    ],
)
async def test_a_part_says_whether_it_is_a_file(head: bytes, is_file: bool) -> None:
    body = written((b"Content-Disposition: form-data" + head, b"bytes"))
    assert await cut(body) == [("image", is_file, b"bytes")]


async def test_a_quoted_boundary_and_an_epilogue_are_understood() -> None:
    body = written((HEAD, b"snow"), end=b"--line--\r\nwhatever follows")
    assert await cut(body, 'Multipart/Form-Data; Boundary="line"') == [("prompt", False, b"snow")]
    assert await cut(written((HEAD, b"snow"), end=b"--line--")) == [("prompt", False, b"snow")]


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        pytest.param(b"", TYPE, id="nothing"),
        pytest.param(b"prompt=snow", TYPE, id="another kind of form"),
        pytest.param(b'{"prompt": "snow"}', TYPE, id="JSON"),
        pytest.param(written((HEAD, b"snow")), "multipart/form-data", id="no boundary"),
        pytest.param(written((HEAD, b"snow")), "multipart/form-data; boundary=", id="an empty boundary"),
        pytest.param(written((HEAD, b"snow")), f"multipart/form-data; boundary={'x' * 71}", id="a long boundary"),
        pytest.param(written((HEAD, b"snow")), "multipart/form-data; boundary=other", id="another boundary"),
        pytest.param(written((HEAD, b"snow"), end=b""), TYPE, id="no last boundary"),
        pytest.param(written((HEAD, b"snow"))[:-6], TYPE, id="cut in the last boundary"),
        pytest.param(written((HEAD, b"snow"))[:30], TYPE, id="cut in the headers"),
        pytest.param(b"preamble\r\n" + written((HEAD, b"snow")), TYPE, id="a preamble"),
        pytest.param(b"--line \r\n" + HEAD + b"\r\n\r\nsnow\r\n--line--", TYPE, id="blanks after a boundary"),
        pytest.param(b"--line\n" + HEAD + b"\n\nsnow\n--line--", TYPE, id="bare line feeds"),
        pytest.param(written((b"Content-Type: text/plain", b"snow")), TYPE, id="no disposition"),
        pytest.param(written((b"Content-Disposition: form-data", b"snow")), TYPE, id="no name"),
        pytest.param(written((b'Content-Disposition: attachment; name="prompt"', b"snow")), TYPE, id="an attachment"),
        pytest.param(written((HEAD + b"\r\nContent-Transfer-Encoding: base64", b"c25vdw==")), TYPE, id="in base64"),
        pytest.param(written((HEAD + b"\r\nX: " + b"x" * 9000, b"snow")), TYPE, id="long headers"),
        pytest.param(b"--line\r\n" + b"x" * 20_000, TYPE, id="headers without end"),
        pytest.param(written(*[(HEAD, b"")] * 64), TYPE, id="very many parts"),
    ],
)
@pytest.mark.parametrize("size", [1, 64, 100_000])
async def test_what_is_no_form_is_malformed(data: bytes, content_type: str, size: int) -> None:
    with pytest.raises(Problem) as refused:
        await cut(data, content_type, size=size)
    assert refused.value.code == "malformed"


async def test_only_what_was_not_taken_is_held() -> None:
    """A part of 3 MB comes through in pieces, none larger than what arrived."""
    body = written((b'Content-Disposition: form-data; name="image"; filename="a"', b"x" * 3_000_000))
    async for part in multipart.parts(in_pieces(body, 50_000), TYPE):
        sizes = [len(chunk) async for chunk in part.chunks]
    assert sum(sizes) == 3_000_000
    assert max(sizes) <= 50_100
