"""Data URIs as browsers, mail programs and shells write them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edits.media import data_uri
from edits.media.kinds import PictureInvalid

DATA = bytes(range(251)) + b"\xfb\xff\xfe"  # "+" and "/" occur in its base64, and it ends with padding
URL_SAFE = base64.urlsafe_b64encode(DATA[:-1]).decode()
TEXT = base64.b64encode(DATA[:-1]).decode()
SENT = DATA[:-1]


def uri(data: bytes, content_type: str = "image/png") -> str:
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


@given(
    data=st.binary(min_size=1, max_size=100), content_type=st.sampled_from(["image/png", "image/jpeg", "image/webp"])
)
def test_it_gives_its_type_and_bytes(data: bytes, content_type: str):
    assert data_uri.parse(uri(data, content_type), max_bytes=len(data)) == (content_type, data)
    with pytest.raises(PictureInvalid) as refused:
        data_uri.parse(uri(data, content_type), max_bytes=len(data) - 1)
    assert refused.value.code == "image_too_large"


def lines(text: str, width: int, end: str) -> str:
    return "".join(text[at : at + width] + end for at in range(0, len(text), width))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"DATA:Image/PNG;Base64,{TEXT}", id="capitals"),
        pytest.param(f"data:image/png;charset=utf-8;base64,{TEXT}", id="a charset"),
        pytest.param(f"data:image/png;name=house.png;base64,{TEXT}", id="a name"),
        pytest.param(f"data:image/png;name={'x' * 900};base64,{TEXT}", id="a long name"),
        pytest.param(f"data:image/png;base64;name=house.png,{TEXT}", id="a name behind"),
        pytest.param(f"data:image/png; base64 ,{TEXT}", id="spaces in the head"),
        pytest.param(f"data:image/png;;base64,{TEXT}", id="an empty parameter"),
        pytest.param(f"data:image/png;base64,{lines(TEXT, 76, chr(10))}", id="lines of 76"),
        pytest.param(f"data:image/png;base64,\r\n{lines(TEXT, 64, chr(13) + chr(10))}", id="lines of 64, CR LF"),
        pytest.param(f"data:image/png;base64,{lines(TEXT, 4, ' ')}\t\f", id="spaces and tabs"),
        pytest.param(f"data:image/png;base64,{TEXT.rstrip('=')}", id="no padding"),
        pytest.param(f"data:image/png;base64,{TEXT.rstrip('=')}=\n=", id="padding on two lines"),
        pytest.param(f"data:image/png;base64,{URL_SAFE}", id="URL-safe"),
        pytest.param(f"data:image/png;base64,{URL_SAFE.rstrip('=')}", id="URL-safe, bare"),
        pytest.param(
            f"data:image/png;base64,{TEXT.replace('+', '%2B').replace('/', '%2f').replace('=', '%3D')}",
            id="percent-encoded",
        ),
        pytest.param(f"data:image/png;base64,{lines(TEXT, 76, '%0D%0A')}", id="percent-encoded lines"),
    ],
)
def test_each_way_to_write_it_gives_the_same_bytes(text: str):
    assert data_uri.parse(text, max_bytes=len(SENT)) == ("image/png", SENT)


def test_padding_that_is_too_short_or_too_long_by_one_is_mended():
    for data, wrong in ((b"abcd", "YWJjZA="), (b"abcde", "YWJjZGU=="), (b"abc", "YWJj=")):
        assert data_uri.parse(f"data:image/png;base64,{wrong}", max_bytes=9)[1] == data


def test_jpg_is_jpeg():
    assert data_uri.parse("data:image/jpg;base64,AAAA", max_bytes=3) == ("image/jpeg", b"\0\0\0")


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        pytest.param("", "image_unreadable", "no type and comma", id="nothing"),
        pytest.param("https://example.com/a.png", "image_unreadable", "comma", id="an address"),
        pytest.param("data:image/png;base64", "image_unreadable", "comma", id="no comma"),
        pytest.param(f"data:image/png;name={'x' * 1024};base64,AAAA", "image_unreadable", "comma", id="a long head"),
        pytest.param("data:image/png;base64,", "image_unreadable", "no bytes", id="no bytes"),
        pytest.param("data:image/png;base64, \n=", "image_unreadable", "no bytes", id="whitespace alone"),
        pytest.param("data:image/png,AAAA", "image_unreadable", "in base64", id="not base64"),
        pytest.param("data:image/png;charset=base64,AAAA", "image_unreadable", "in base64", id="another parameter"),
        pytest.param("data:image/png;base64,AAAAA", "image_unreadable", "proper", id="one digit too many"),
        pytest.param("data:image/png;base64,AAAA===", "image_unreadable", "proper", id="too much padding"),
        pytest.param("data:image/png;base64,AA==AAAA", "image_unreadable", "proper", id="padding in the middle"),
        pytest.param("data:image/png;base64,AAA!", "image_unreadable", "proper", id="another character"),
        pytest.param("data:image/png;base64,AAA%", "image_unreadable", "proper", id="a percent sign"),
        pytest.param("data:image/png;base64,AAA%FF", "image_unreadable", "proper", id="a percent-encoded byte"),
        pytest.param("data:image/png;base64,AAAA\0", "image_unreadable", "proper", id="a null"),
        pytest.param("data:image/png;base64,ÄÄÄÄ", "image_unreadable", "proper", id="no ASCII"),
        pytest.param("data:image/gif;base64,AAAA", "unsupported_type", "must be image/png", id="a gif"),
        pytest.param("data:text/html;base64,AAAA", "unsupported_type", "must be image/png", id="a page"),
        pytest.param("data:;base64,AAAA", "unsupported_type", "must be image/png", id="no type"),
        pytest.param("data:image/png;base64," + "!" * 2000, "image_too_large", "1000 bytes", id="too large first"),
    ],
)
def test_a_wrong_one_is_refused_by_name(text: str, code: str, word: str):
    with pytest.raises(PictureInvalid, match=word) as refused:
        data_uri.parse(text, max_bytes=1000)
    assert refused.value.code == code
