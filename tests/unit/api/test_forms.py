"""Bodies of forms, split at any byte, and every fault in them."""

import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from api.errors import Problem
from api.schemas import forms

TYPE = "multipart/form-data; boundary=line"
PROMPT = b'Content-Disposition: form-data; name="prompt"'
IMAGE = b'Content-Disposition: form-data; name="image"'


def request(data: bytes, content_type: str, size: int) -> Request:
    """A request whose body arrives `size` bytes at a time."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)] or [b""]

    async def receive() -> Message:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    live = SimpleNamespace(late=False)
    app = SimpleNamespace(state=SimpleNamespace(parts=SimpleNamespace(live=live)))
    headers = [(b"content-type", content_type.encode("latin-1"))]
    return Request({"type": "http", "method": "POST", "headers": headers, "app": app}, receive)


async def read(data: bytes, content_type: str = TYPE, *, size: int = 7) -> tuple[dict[str, Any], bytes | None]:
    form = await forms.read(request(data, content_type, size), max_picture=4_000_000, max_text=1_000_000)
    fields: dict[str, Any] = json.loads(form.fields)
    if form.picture is not None:
        assert fields.pop("image") == forms.FILE
    return fields, form.picture


def written(*parts: tuple[bytes, bytes], end: bytes = b"--line--\r\n") -> bytes:
    return b"".join(b"--line\r\n" + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts) + end


near_boundaries = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--lin", b"x"])).map(b"".join)
pictures = st.one_of(st.binary(max_size=50), near_boundaries).filter(lambda body: b"\r\n--line" not in b"\r\n" + body)


@given(picture=pictures, size=st.integers(1, 90))
async def test_every_byte_comes_out_however_the_body_was_cut(picture: bytes, size: int) -> None:
    data = written((PROMPT, b"snow"), (IMAGE + b'; filename="a"', picture))
    assert await read(data, size=size) == ({"prompt": "snow"}, picture)


@given(data=st.binary(max_size=300), size=st.integers(1, 400))
async def test_what_a_known_client_writes_is_read(data: bytes, size: int) -> None:
    files = {"image": ("a picture.png", data, "image/png")}
    sent = httpx.Request("POST", "http://x", data={"prompt": "snow, \u2603", "steps": "4"}, files=files)
    found = await read(sent.read(), sent.headers["content-type"], size=size)
    assert found == ({"prompt": "snow, \u2603", "steps": 4}, data)


@pytest.mark.parametrize(
    ("head", "is_file"),
    [
        pytest.param(b'; name="image"', False, id="bare"),
        pytest.param(b"; name=image", False, id="without quotes"),
        pytest.param(b'; name="image"\r\nContent-Type: text/plain; charset=utf-8', False, id="text"),
        pytest.param(b'; name="image"\r\nContent-Type: application/json', False, id="JSON"),
        pytest.param(b'; name="image"; filename="a.png"', True, id="with a file name"),
        pytest.param(b'; name="image"; filename="\xe2\x98\x83.png"', True, id="as browsers write it"),
        pytest.param(b'; name="image"\r\ncontent-type: image/png', True, id="with a picture's type"),
        pytest.param(b'; name="image"\r\nContent-Type: application/octet-stream', True, id="with a type of bytes"),
    ],
)
async def test_a_part_says_whether_it_is_a_file(head: bytes, is_file: bool) -> None:
    body = written((b"Content-Disposition: form-data" + head, b"bytes"))
    assert await read(body) == (({}, b"bytes") if is_file else ({"image": "bytes"}, None))


@pytest.mark.parametrize("more", [b"", b"; filename*=UTF-8''%e2%98%83.png", b"\r\nContent-Type: text/plain"])
async def test_bytes_that_are_not_text_are_a_file_whatever_the_part_says(more: bytes) -> None:
    assert await read(written((IMAGE + more, b"\x89PNG"))) == ({}, b"\x89PNG")


async def test_a_quoted_boundary_and_an_epilogue_are_understood() -> None:
    body = written((PROMPT, b"snow"), end=b"--line--\r\nwhatever follows")
    assert await read(body, 'Multipart/Form-Data; Boundary="line"') == ({"prompt": "snow"}, None)
    assert await read(written((PROMPT, b"snow"), end=b"--line--")) == ({"prompt": "snow"}, None)


@pytest.mark.parametrize("encoding", [b"base64", b"BASE64", b"binary", b"8bit", b"quoted-printable"])
async def test_a_part_may_be_in_a_transfer_encoding(encoding: bytes) -> None:
    sent = b"c25vdw==" if encoding.lower() == b"base64" else b"snow"
    assert await read(written((PROMPT + b"\r\nContent-Transfer-Encoding: " + encoding, sent))) == (
        {"prompt": "snow"},
        None,
    )


MALFORMED = [
    pytest.param(b"", TYPE, id="nothing"),
    pytest.param(b"prompt=snow", TYPE, id="another kind of form"),
    pytest.param(b'{"prompt": "snow"}', TYPE, id="JSON"),
    pytest.param(written((PROMPT, b"snow")), "multipart/form-data", id="no boundary"),
    pytest.param(written((PROMPT, b"snow")), "multipart/form-data; boundary=", id="an empty boundary"),
    pytest.param(written((PROMPT, b"snow")), f"multipart/form-data; boundary={'x' * 300}", id="a long boundary"),
    pytest.param(written((PROMPT, b"snow")), "multipart/form-data; boundary=other", id="another boundary"),
    pytest.param(written((PROMPT, b"snow"), end=b""), TYPE, id="no last boundary"),
    pytest.param(written((PROMPT, b"snow"))[:-6], TYPE, id="cut in the last boundary"),
    pytest.param(written((PROMPT, b"snow"))[:30], TYPE, id="cut in the headers"),
    pytest.param(b"preamble\r\n" + written((PROMPT, b"snow")), TYPE, id="a preamble"),
    pytest.param(b"--line\n" + PROMPT + b"\n\nsnow\n--line--", TYPE, id="bare line feeds"),
    pytest.param(written((b"Content-Type: text/plain", b"snow")), TYPE, id="no disposition"),
    pytest.param(written((b"Content-Disposition: form-data", b"snow")), TYPE, id="no name"),
    pytest.param(written((PROMPT + b"\r\nContent-Transfer-Encoding: base64", b"c25vdw=")), TYPE, id="broken base64"),
    pytest.param(written((PROMPT + b"\r\nContent-Transfer-Encoding: x-uu", b"snow")), TYPE, id="another encoding"),
    pytest.param(written((PROMPT + b"\r\nX: " + b"x" * 9000, b"snow")), TYPE, id="long headers"),
    pytest.param(written((PROMPT + b"\r\nX: x" * 100, b"snow")), TYPE, id="many headers"),
    pytest.param(b"--line\r\n" + b"x" * 20_000, TYPE, id="headers without end"),
]


@pytest.mark.parametrize(("data", "content_type"), MALFORMED)
@pytest.mark.parametrize("size", [1, 64, 100_000])
async def test_what_is_no_form_is_malformed(data: bytes, content_type: str, size: int) -> None:
    with pytest.raises(Problem) as refused:
        await read(data, content_type, size=size)
    assert refused.value.code == "malformed"
